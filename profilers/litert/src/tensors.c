/* What goes into a model and what comes out of it. */
#include <stdio.h>
#include <string.h>

#include "litert_api.h"
#include "sha256.h"

static uint32_t random_bits(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

/* Inputs that every model takes: [0, 1) for floats, the whole range for bytes, 0 for what may be an index. */
static void fill(void *buffer, size_t bytes, int element, uint64_t *state)
{
    memset(buffer, 0, bytes);
    switch (element) {
    case FLOAT32:
        for (size_t i = 0; i < bytes / 4; i++)
            ((float *)buffer)[i] = (float)(random_bits(state) >> 8) / 16777216.0f;
        break;
    case FLOAT64:
        for (size_t i = 0; i < bytes / 8; i++)
            ((double *)buffer)[i] = (double)(random_bits(state) >> 8) / 16777216.0;
        break;
    case FLOAT16: /* 0.25 to 1 */
        for (size_t i = 0; i < bytes / 2; i++)
            ((uint16_t *)buffer)[i] = (uint16_t)(0x3400 + random_bits(state) % 0x800);
        break;
    case INT8:
    case UINT8:
        for (size_t i = 0; i < bytes; i++)
            ((uint8_t *)buffer)[i] = (uint8_t)(random_bits(state) >> 8);
        break;
    default:
        break;
    }
}

static bool read_input(const char *path, void *buffer, size_t bytes, struct fault *fault)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fault_set(fault, "the input must be readable, but %s is not", path);
    bool whole = fread(buffer, 1, bytes, file) == bytes && fgetc(file) == EOF;
    fclose(file);
    return whole || fault_set(fault, "the input must hold %zu bytes, but %s does not", bytes, path);
}

bool model_fill(struct model *model, long long seed, const char *file, struct fault *fault)
{
    uint64_t state = (uint64_t)seed;
    fault->stage = "input";
    for (size_t i = 0; i < model->input_count; i++) {
        struct tensor_type type;
        size_t bytes = 0;
        void *buffer = NULL;
        if (!model_input_type(model, i, &type, fault) || !TRY(GetTensorBufferPackedSize, model->inputs[i], &bytes) ||
            !TRY(LockTensorBuffer, model->inputs[i], &buffer, LOCK_WRITE))
            return false;
        bool filled = true;
        if (file && i == 0)
            filled = read_input(file, buffer, bytes, fault);
        else
            fill(buffer, bytes, type.element, &state);
        if (!TRY(UnlockTensorBuffer, model->inputs[i]) || !filled)
            return false;
    }
    return true;
}

static long long count_nonfinite(const float *values, size_t count)
{
    long long found = 0;
    for (size_t i = 0; i < count; i++)
        found += !(values[i] - values[i] == 0.0f);
    return found;
}

bool model_outputs(struct model *model, const char *file, char hex[65], long long *nonfinite,
                   struct fault *fault)
{
    struct sha256 hash;
    FILE *copy = file ? fopen(file, "wbe") : NULL;
    bool done = !file || copy || fault_set(fault, "the output must be writable, but %s is not", file);
    sha256_begin(&hash);
    *nonfinite = 0;
    for (size_t i = 0; done && i < model->output_count; i++) {
        struct tensor_type type;
        size_t bytes = 0;
        void *buffer = NULL;
        done = model_output_type(model, i, &type, fault) &&
               TRY(GetTensorBufferPackedSize, model->outputs[i], &bytes) &&
               TRY(LockTensorBuffer, model->outputs[i], &buffer, LOCK_READ);
        if (!done)
            break;
        sha256_add(&hash, buffer, bytes);
        if (type.element == FLOAT32)
            *nonfinite += count_nonfinite(buffer, bytes / sizeof(float));
        if (copy && fwrite(buffer, 1, bytes, copy) != bytes)
            done = fault_set(fault, "the output must be written whole, but %s took only a part", file);
        done = TRY(UnlockTensorBuffer, model->outputs[i]) && done;
    }
    if (copy && fclose(copy) != 0 && done)
        done = fault_set(fault, "the output must be written whole, but %s took only a part", file);
    sha256_end(&hash, hex);
    return done;
}
