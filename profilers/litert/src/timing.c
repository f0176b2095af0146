#include "timing.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device.h"

#define WINDOWS 4              /* that the shortest warm-up is cut into */
#define AGREE_PERCENT 3        /* two windows agree where their mean times differ by less */
#define LENGTHENED 3           /* times at most that samples are found too short and taken again */
#define CLOCKS_EVERY_NS 100000000LL
#define MOST_CLOCK_ROWS 512

void timing_free(struct timing *timing)
{
    free(timing->elapsed);
    free(timing->cpus);
    free(timing->thread);
    free(timing->starts);
    free(timing->preempted);
    free(timing->clocks);
}

bool timing_warm_up(const struct job *job, struct model *model, struct timing *timing, struct fault *fault)
{
    long long window_ns = job->warmup_min_ns / WINDOWS, began = now_ns(), before = 0;
    for (;;) {
        long long runs = 0, start = now_ns(), now = start;
        while (runs == 0 || now - start < window_ns) {
            if (!model_run(model, fault))
                return false;
            runs++;
            now = now_ns();
        }
        long long each = (now - start) / runs;
        each = each ? each : 1;
        timing->each_ns = timing->warmup_runs && timing->each_ns < each ? timing->each_ns : each;
        timing->warmup_runs += runs;
        bool agree = llabs(each - before) <= each * AGREE_PERCENT / 100;
        if ((agree && now - began >= job->warmup_min_ns) || now - began >= job->warmup_max_ns)
            return true;
        before = each;
    }
}

static void note_clocks(struct timing *timing)
{
    long long khz[MOST_CPUS];
    size_t count = device_clocks(khz);
    if (timing->clock_rows == MOST_CLOCK_ROWS)
        return;
    timing->clock_columns = count + 1;
    timing->clocks =
        checked_realloc(timing->clocks, (timing->clock_rows + 1) * (count + 1), sizeof *timing->clocks);
    long long *row = timing->clocks + timing->clock_rows++ * (count + 1);
    row[0] = (long long)timing->count;
    memcpy(row + 1, khz, count * sizeof *khz);
}

/* CPU time of the calling thread. */
static long long thread_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long preemptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* As many samples as the job wants, of timing->inner runs each. */
static bool take_samples(const struct job *job, struct model *model, struct timing *timing, struct fault *fault)
{
    long long began = now_ns(), clocks_at = began - CLOCKS_EVERY_NS, switched = preemptions();
    timing->clock_rows = 0;
    for (timing->count = 0; timing->count < (size_t)job->samples; timing->count++) {
        size_t i = timing->count;
        if (now_ns() - clocks_at >= CLOCKS_EVERY_NS) {
            note_clocks(timing);
            clocks_at = now_ns();
        }
        long long before = switched, thread_start = thread_ns(), start = now_ns();
        for (long long k = 0; k < timing->inner; k++)
            if (!model_run(model, fault))
                return false;
        timing->elapsed[i] = now_ns() - start;
        timing->thread[i] = thread_ns() - thread_start;
        timing->cpus[i] = sched_getcpu();
        timing->starts[i] = start - began;
        switched = preemptions();
        timing->preempted[i] = switched - before;
    }
    note_clocks(timing);
    return true;
}

bool timing_sample(const struct job *job, struct model *model, struct timing *timing, struct fault *fault)
{
    long long **lists[] = {&timing->elapsed, &timing->thread, &timing->cpus, &timing->starts, &timing->preempted};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        *lists[i] = checked_realloc(NULL, (size_t)job->samples, sizeof **lists[i]);
    timing->inner = 1;
    long long span_ns = job->energy_steps ? energy_span_ns(job->energy_steps) : 0;
    long long least_ns = (span_ns + job->samples - 1) / job->samples; /* for the counter to step so often */
    least_ns = least_ns > job->min_sample_ns ? least_ns : job->min_sample_ns;
    for (int attempt = 0; attempt < LENGTHENED; attempt++) {
        long long inner = (least_ns + timing->each_ns - 1) / timing->each_ns;
        timing->inner = inner > timing->inner ? inner : timing->inner;
        long long steal = device_steal_ticks();
        getrusage(RUSAGE_SELF, &timing->before);
        if (job->energy_steps && !energy_begin(&timing->energy, fault->message, sizeof fault->message))
            return false;
        if (!take_samples(job, model, timing, fault))
            return false;
        if (job->energy_steps && !energy_end(&timing->energy, fault->message, sizeof fault->message))
            return false;
        getrusage(RUSAGE_SELF, &timing->after);
        timing->steal = steal == UNKNOWN ? UNKNOWN : device_steal_ticks() - steal;
        long long shortest = timing->elapsed[0];
        for (size_t i = 1; i < timing->count; i++)
            shortest = timing->elapsed[i] < shortest ? timing->elapsed[i] : shortest;
        if (shortest >= least_ns / 10 * 9) /* a clock that sped up may shorten them a little */
            break;
        timing->each_ns = shortest / timing->inner > 0 ? shortest / timing->inner : 1;
    }
    return true;
}

static long long microseconds(struct timeval time)
{
    return time.tv_sec * 1000000LL + time.tv_usec;
}

void timing_write(struct text *reply, const struct job *job, const struct timing *timing, bool elsewhere)
{
    const struct rusage *a = &timing->before, *b = &timing->after;
    json_numbers(reply, "samples_ns", timing->elapsed, timing->count);
    json_number(reply, "inner", timing->inner);
    json_number(reply, "warmup_runs", timing->warmup_runs);
    json_number(reply, "start_ns", timing->start_ns);
    if (!elsewhere) { /* of a thread that only waits they say nothing */
        json_numbers(reply, "thread_ns", timing->thread, timing->count);
        json_numbers(reply, "preempted", timing->preempted, timing->count);
    }
    json_numbers(reply, "cpu_ids", timing->cpus, timing->count);
    json_numbers(reply, "sample_start_ns", timing->starts, timing->count);
    if (timing->clock_rows) {
        const long long *last = timing->clocks + (timing->clock_rows - 1) * timing->clock_columns;
        json_numbers(reply, "freq_khz", last + 1, timing->clock_columns - 1);
        json_open(reply, "freq_track_khz", '[');
        for (size_t row = 0; row < timing->clock_rows; row++)
            json_numbers(reply, NULL, timing->clocks + row * timing->clock_columns, timing->clock_columns);
        json_close(reply, ']');
    }
    json_number(reply, "steal_ticks", timing->steal);
    if (job->energy_steps)
        energy_write(reply, "energy", &timing->energy, timing->inner * (long long)timing->count);
    json_number(reply, "cpu_ns", 1000 * (microseconds(b->ru_utime) - microseconds(a->ru_utime) +
                                         microseconds(b->ru_stime) - microseconds(a->ru_stime)));
    json_number(reply, "preemptions", b->ru_nivcsw - a->ru_nivcsw);
    json_number(reply, "waits", b->ru_nvcsw - a->ru_nvcsw);
    json_number(reply, "page_faults", b->ru_minflt - a->ru_minflt + b->ru_majflt - a->ru_majflt);
}
