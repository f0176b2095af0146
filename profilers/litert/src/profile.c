/* Time of each operation, and what ran outside the delegate. */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "litert_api.h"

/* Adds one event to the operation at `position` of its run; names it at its first appearance. */
static void add_event(struct profile *profile, size_t position, const struct event *event)
{
    if (position == profile->count) {
        profile->operations =
            checked_realloc(profile->operations, profile->count + 1, sizeof *profile->operations);
        struct operation *fresh = &profile->operations[profile->count++];
        *fresh = (struct operation){.delegated = event->type == EVENT_DELEGATE_OPERATION};
        snprintf(fresh->name, sizeof fresh->name, "%s", event->tag ? event->tag : "");
        bool first_of_partition =
            fresh->delegated && (position == 0 || !profile->operations[position - 1].delegated);
        profile->partitions += first_of_partition;
        profile->outside += !fresh->delegated;
    }
    profile->operations[position].total_us += (long long)event->elapsed_us;
}

/* One profiled pass; its events are added to those of the passes before. */
static bool profile_once(struct model *model, void *profiler, struct profile *profile, struct fault *fault)
{
    int count = 0;
    if (!TRY(StartProfiler, profiler) || !model_run(model, fault) || !TRY(StopProfiler, profiler) ||
        !TRY(GetNumProfilerEvents, profiler, &count))
        return false;
    struct event *events = checked_realloc(NULL, (size_t)(count > 0 ? count : 0), sizeof *events);
    bool done = TRY(GetProfilerEvents, profiler, count, events);
    size_t position = 0;
    for (int i = 0; done && i < count; i++)
        if (events[i].type == EVENT_NODE || events[i].type == EVENT_DELEGATE_OPERATION)
            add_event(profile, position++, &events[i]);
    free(events);
    return done;
}

bool model_profile(struct model *model, int runs, struct profile *profile, struct fault *fault)
{
    void *profiler = NULL;
    *profile = (struct profile){0};
    if (!TRY(CompiledModelGetProfiler, model->compiled, &profiler))
        return false;
    for (int run = 0; run < runs; run++)
        if (!profile_once(model, profiler, profile, fault)) {
            profile_free(profile);
            return false;
        }
    return true;
}

void profile_free(struct profile *profile)
{
    free(profile->operations);
    *profile = (struct profile){0};
}
