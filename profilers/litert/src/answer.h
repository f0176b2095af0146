/* One job: warm up, time, and say under which conditions. */
#ifndef HWNAS_ANSWER_H
#define HWNAS_ANSWER_H

#include "gpu.h"
#include "json.h"
#include "litert.h"
#include "plan.h"

/* Does the job and adds the members of its reply; fault->stage follows what is being done, so that
   whoever watches knows where a crash happened. */
bool answer_job(const struct job *job, const struct gpus *gpus, int op_profile_runs, struct text *reply,
                struct fault *fault);

#endif
