/* Timing of one model: warm-up windows, inner loops, samples, and what went on beside them. */
#ifndef HWNAS_TIMING_H
#define HWNAS_TIMING_H

#include <sys/resource.h>

#include "energy.h"
#include "json.h"
#include "litert.h"
#include "plan.h"

struct timing {
    long long warmup_runs, each_ns, inner, start_ns;
    long long *elapsed, *thread, *cpus, *starts, *preempted; /* one a sample */
    size_t count;
    long long *clocks; /* rows: sample number, then kHz of each CPU */
    size_t clock_rows, clock_columns;
    struct rusage before, after;
    long long steal;
    struct energy energy; /* where the job asks for it */
};

/* Runs until two successive windows agree, within the bounds of the job; each_ns is the best window's. */
bool timing_warm_up(const struct job *job, struct model *model, struct timing *timing, struct fault *fault);
/* Times samples that are long enough; takes them again where the warm-up made a run look longer. */
bool timing_sample(const struct job *job, struct model *model, struct timing *timing, struct fault *fault);
/* `elsewhere`: the work is not done by the thread that waits for it. */
void timing_write(struct text *reply, const struct job *job, const struct timing *timing, bool elsewhere);
void timing_free(struct timing *timing);

#endif
