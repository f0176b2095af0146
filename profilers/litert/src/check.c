#include "check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "litert_api.h"

#define READINGS 9
#define LATE_PART 5 /* a fifth of a run's time */

void model_forget_expected(struct model *model)
{
    for (size_t i = 0; model->expected && i < model->output_count; i++)
        free(model->expected[i]);
    free(model->expected);
    model->expected = NULL;
}

/* An output as it is read, its size in bytes; only floats can be compared. */
static bool lock_output(struct model *model, size_t index, int mode, void **buffer, size_t *bytes, struct fault *fault)
{
    struct tensor_type type;
    if (!model_output_type(model, index, &type, fault))
        return false;
    if (type.element != FLOAT32)
        return fault_set(fault, "outputs must be floats to be compared with the CPU's, but one is of type %d",
                         type.element);
    return TRY(GetTensorBufferPackedSize, model->outputs[index], bytes) &&
           TRY(LockTensorBuffer, model->outputs[index], buffer, mode);
}

static bool keep_outputs(struct model *reference, struct model *model, struct fault *fault)
{
    if (reference->output_count != model->output_count)
        return fault_set(fault, "a model must have the same outputs everywhere, but has %zu and %zu",
                         reference->output_count, model->output_count);
    model->expected = checked_realloc(NULL, model->output_count, sizeof *model->expected);
    memset(model->expected, 0, model->output_count * sizeof *model->expected);
    for (size_t i = 0; i < model->output_count; i++) {
        void *buffer = NULL;
        size_t bytes = 0;
        if (!lock_output(reference, i, LOCK_READ, &buffer, &bytes, fault))
            return false;
        model->expected[i] = checked_realloc(NULL, bytes, 1);
        memcpy(model->expected[i], buffer, bytes);
        if (!TRY(UnlockTensorBuffer, reference->outputs[i]))
            return false;
    }
    return true;
}

/* What the CPU answers to the same, in a copy of the model. */
static bool expect(struct model *model, const struct job *job, struct fault *fault)
{
    const struct how how = {.threads = (int)job->threads};
    struct model reference = {0};
    bool done = model_open(&reference, job->model, &how, fault) &&
                model_fill(&reference, job->seed, job->input, fault) && model_run(&reference, fault) &&
                keep_outputs(&reference, model, fault);
    if (reference.model)
        model_close(&reference);
    if (!done)
        model_forget_expected(model);
    return done;
}

static bool spoil_outputs(struct model *model, struct fault *fault)
{
    for (size_t i = 0; i < model->output_count; i++) {
        void *buffer = NULL;
        size_t bytes = 0;
        if (!lock_output(model, i, LOCK_WRITE, &buffer, &bytes, fault))
            return false;
        memset(buffer, 0xff, bytes); /* not a number */
        if (!TRY(UnlockTensorBuffer, model->outputs[i]))
            return false;
    }
    return true;
}

static void compare(const float *values, const float *expected, size_t count, struct difference *found)
{
    double off = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)values[i] - expected[i];
        found->nonfinite += !isfinite(values[i]);
        off += difference * difference;
        norm += (double)expected[i] * expected[i];
    }
    double error = sqrt(off) / fmax(sqrt(norm), FLT_MIN);
    found->error = found->nonfinite ? NAN : fmax(found->error, error);
}

bool check_run(struct model *model, const struct job *job, struct difference *found, struct fault *fault)
{
    *found = (struct difference){0};
    bool done = model->expected || expect(model, job, fault);
    fault->stage = "check";
    if (!done || !spoil_outputs(model, fault) || !model_run(model, fault))
        return false;
    for (size_t i = 0; i < model->output_count; i++) {
        void *buffer = NULL;
        size_t bytes = 0;
        if (!lock_output(model, i, LOCK_READ, &buffer, &bytes, fault))
            return false;
        compare(buffer, model->expected[i], bytes / sizeof(float), found);
        if (!TRY(UnlockTensorBuffer, model->outputs[i]))
            return false;
    }
    return true;
}

void check_write(struct text *reply, const struct difference *first, const struct difference *last)
{
    bool finite = !first->nonfinite && !last->nonfinite;
    json_open(reply, "check", '{');
    json_string(reply, "against", "cpu-fp32");
    json_real(reply, "first", finite ? first->error : NAN);
    json_real(reply, "last", finite ? last->error : NAN);
    json_number(reply, "nonfinite", first->nonfinite > last->nonfinite ? first->nonfinite : last->nonfinite);
    json_close(reply, '}');
}

static bool read_outputs(struct model *model, struct fault *fault)
{
    for (size_t i = 0; i < model->output_count; i++) {
        void *buffer = NULL;
        if (!TRY(LockTensorBuffer, model->outputs[i], &buffer, LOCK_READ) ||
            !TRY(UnlockTensorBuffer, model->outputs[i]))
            return false;
    }
    return true;
}

static int ascending(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static long long median(long long *values)
{
    qsort(values, READINGS, sizeof *values, ascending);
    return values[READINGS / 2];
}

/* Reading what is ready takes as long the second time; reading what is not has to wait for it. */
bool check_waits(struct model *model, long long *lock_ns, struct fault *fault)
{
    long long runs[READINGS], locks[READINGS], late[READINGS];
    fault->stage = "check";
    for (size_t i = 0; i < READINGS; i++) {
        long long start = now_ns();
        if (!model_run(model, fault))
            return false;
        long long ran = now_ns();
        if (!read_outputs(model, fault))
            return false;
        long long read = now_ns();
        if (!read_outputs(model, fault))
            return false;
        runs[i] = ran - start;
        locks[i] = read - ran;
        late[i] = locks[i] - (now_ns() - read);
    }
    long long run_ns = median(runs), late_ns = median(late);
    *lock_ns = median(locks);
    return late_ns <= run_ns / LATE_PART ||
           fault_set(fault,
                     "a run must be done when it returns, but after one of %lld ns the outputs were ready %lld ns "
                     "later: LiteRT did not wait for the GPU, and times would be of the asking",
                     run_ns, late_ns);
}
