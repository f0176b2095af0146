/* Whether what another processor answers is right, and whether a run of it was waited for. */
#ifndef HWNAS_CHECK_H
#define HWNAS_CHECK_H

#include "json.h"
#include "litert.h"
#include "plan.h"

/* Norm of the difference over that of what was expected, and how many numbers are none. */
struct difference {
    double error;
    long long nonfinite;
};

/* How one run more compares with the same file and inputs in fp32 on the CPU. What the outputs held before is
   no number, so that one that is not written is noticed. */
bool check_run(struct model *model, const struct job *job, struct difference *found, struct fault *fault);
void check_write(struct text *reply, const struct difference *first, const struct difference *last);

/* Refuses a model whose outputs are not ready when a run ends; `lock_ns` is what reading them takes. */
bool check_waits(struct model *model, long long *lock_ns, struct fault *fault);

#endif
