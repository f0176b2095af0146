/* The plan: one job a line, read strictly. The fields are described in profilers/README.md. */
#ifndef HWNAS_PLAN_H
#define HWNAS_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#define MOST_CPUS 256

struct job {
    char *name, *model;
    char *input, *output; /* optional files: raw bytes of the first input, of all outputs */
    char *processor, *precision; /* optional: the CPU, and what the file says */
    long long threads, samples, min_sample_ns, warmup_min_ns, warmup_max_ns, seed;
    long long energy_steps; /* of the energy counter, that the samples are to span; 0: it is not read */
    bool keep, pinned;
    int cpus[MOST_CPUS];
    size_t cpu_count;
};

/* Fills `job` from one line. Where the line is wrong, says why in `error` and returns false;
   `job->name` is set all the same if it could be read. */
bool job_parse(struct job *job, const char *line, size_t length, char *error, size_t size);
void job_free(struct job *job);

#endif
