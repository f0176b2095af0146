#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define SECOND 1000000000LL

static bool read_cpus(struct reader *reader, struct job *job)
{
    bool more;
    long long number;
    job->pinned = !read_null(reader);
    if (!job->pinned)
        return true;
    if (!read_open(reader, '['))
        return false;
    for (bool first = true; read_more(reader, ']', first, &more) && more; first = false) {
        if (!read_integer(reader, &number))
            return false;
        if (number < 0 || number >= MOST_CPUS || job->cpu_count == MOST_CPUS)
            return read_fail(reader, "cpus must be at most 256 numbers from 0 to 255");
        job->cpus[job->cpu_count++] = (int)number;
    }
    if (!reader->error[0] && job->cpu_count == 0)
        return read_fail(reader, "cpus must be null or name at least one CPU");
    return !reader->error[0];
}

static bool read_text(struct reader *reader, char **value)
{
    return read_string(reader, value) && (**value || read_fail(reader, "a name or path must not be empty"));
}

/* Integer fields, the range that makes sense, and whether the plan must hold them. */
#define FIELDS(X)                               \
    X(threads, 1, 256, true)                    \
    X(samples, 1, 1000000, true)                \
    X(min_sample_ns, 0, 60 * SECOND, true)      \
    X(warmup_min_ns, 0, 3600 * SECOND, true)    \
    X(warmup_max_ns, 0, 3600 * SECOND, true)    \
    X(seed, 0, 9223372036854775807LL, false)    \
    X(energy_steps, 0, 1000000, false)

enum field {
#define X(field, low, high, needed) FIELD_##field,
    FIELDS(X)
#undef X
    FIELD_job, FIELD_model, FIELD_input, FIELD_output, FIELD_processor, FIELD_precision, FIELD_cpus, FIELD_keep
};

static bool once(struct reader *reader, unsigned *seen, enum field field)
{
    if (*seen >> field & 1)
        return read_fail(reader, "a field must not be there twice");
    *seen |= 1U << field;
    return true;
}

static bool read_number(struct reader *reader, const char *name, long long *value, long long low, long long high)
{
    char message[120];
    if (!read_integer(reader, value))
        snprintf(message, sizeof message, "%s must be an integer that fits 64 bits", name);
    else if (*value < low || *value > high)
        snprintf(message, sizeof message, "%s must be from %lld to %lld, but got %lld", name, low, high, *value);
    else
        return true;
    reader->error[0] = 0;
    return read_fail(reader, message);
}

static bool read_field(struct reader *reader, struct job *job, const char *key, unsigned *seen)
{
#define X(field, low, high, needed)                 \
    if (strcmp(key, #field) == 0)                   \
        return once(reader, seen, FIELD_##field) && \
               read_number(reader, #field, &job->field, low, high);
    FIELDS(X)
#undef X
    if (strcmp(key, "job") == 0)
        return once(reader, seen, FIELD_job) && read_text(reader, &job->name);
    if (strcmp(key, "model") == 0)
        return once(reader, seen, FIELD_model) && read_text(reader, &job->model);
    if (strcmp(key, "input") == 0)
        return once(reader, seen, FIELD_input) && read_text(reader, &job->input);
    if (strcmp(key, "output") == 0)
        return once(reader, seen, FIELD_output) && read_text(reader, &job->output);
    if (strcmp(key, "processor") == 0)
        return once(reader, seen, FIELD_processor) && read_text(reader, &job->processor);
    if (strcmp(key, "precision") == 0)
        return once(reader, seen, FIELD_precision) && read_text(reader, &job->precision);
    if (strcmp(key, "cpus") == 0)
        return once(reader, seen, FIELD_cpus) && read_cpus(reader, job);
    if (strcmp(key, "keep") == 0)
        return once(reader, seen, FIELD_keep) && read_boolean(reader, &job->keep);
    return read_skip(reader, 0); /* later protocols may add fields */
}

static bool complete(struct reader *reader, const struct job *job, unsigned seen)
{
    if (!(seen >> FIELD_job & 1))
        return read_fail(reader, "a job must have the field job");
    if (!(seen >> FIELD_model & 1))
        return read_fail(reader, "a job must have the field model");
    if (!(seen >> FIELD_cpus & 1))
        return read_fail(reader, "a job must have the field cpus");
#define X(field, low, high, needed)            \
    if ((needed) && !(seen >> FIELD_##field & 1)) \
        return read_fail(reader, "a job must have the field " #field);
    FIELDS(X)
#undef X
    return job->warmup_min_ns <= job->warmup_max_ns ||
           read_fail(reader, "warmup_min_ns must not exceed warmup_max_ns");
}

bool job_parse(struct job *job, const char *line, size_t length, char *error, size_t size)
{
    struct reader reader = reader_of(line, length);
    unsigned seen = 0;
    bool more = false, good = read_open(&reader, '{');
    *job = (struct job){0};
    for (bool first = true; good && (good = read_more(&reader, '}', first, &more)) && more; first = false) {
        char *key;
        good = read_key(&reader, &key) && read_field(&reader, job, key, &seen);
        free(key);
    }
    good = good && read_end(&reader) && complete(&reader, job, seen);
    snprintf(error, size, "%s", reader.error);
    return good;
}

void job_free(struct job *job)
{
    free(job->name);
    free(job->model);
    free(job->input);
    free(job->output);
    free(job->processor);
    free(job->precision);
    *job = (struct job){0};
}
