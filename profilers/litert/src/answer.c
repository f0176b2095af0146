#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device.h"
#include "timing.h"

/* A model that later jobs use again. Threads and CPUs are part of what it is: its pool is pinned. */
struct kept {
    struct kept *next;
    char *path;
    struct how how;
    bool pinned;
    int cpus[MOST_CPUS];
    size_t cpu_count;
    struct model model;
};

static struct kept *all_kept;

/* Models that this process has opened, and what it took before the first. Only that one's memory can be told:
   later ones share what it brought. */
static long long opened, memory_before_kb;

/* Where and in what a job is to be computed. */
static struct how how_of(const struct job *job)
{
    return (struct how){
        .threads = (int)job->threads,
        .on_gpu = job->processor && strcmp(job->processor, "gpu") == 0,
        .in_fp16 = job->precision && strcmp(job->precision, "fp16") == 0,
    };
}

/* Refuses what cannot be computed here, or not rightly. */
static bool require_possible(const struct job *job, const struct gpus *gpus, struct fault *fault)
{
    const char *precision = job->precision ? job->precision : "fp32";
    bool as_written =
        strcmp(precision, "fp32") == 0 || strcmp(precision, "int8") == 0 || strcmp(precision, "16x8") == 0;
    if (!job->processor || strcmp(job->processor, "cpu") == 0)
        return as_written ||
               fault_set(fault, "precision must be fp32, int8 or 16x8 on the cpu, but got %.40s", precision);
    if (strcmp(job->processor, "gpu") != 0)
        return fault_set(fault, "processor must be cpu or gpu, but got %.40s", job->processor);
    if (!gpus->chosen)
        return fault_set(fault, "processor must be cpu, but got gpu: %.400s", gpus->problem);
    if (strcmp(precision, "int8") == 0)
        return fault_set(fault, "precision must be fp32 or fp16 on the gpu, but got int8, which LiteRT computes "
                                "wrongly there: it ignores strides and groups of 1x1 convolutions");
    return strcmp(precision, "fp32") == 0 || strcmp(precision, "fp16") == 0 ||
           fault_set(fault, "precision must be fp32 or fp16 on the gpu, but got %.40s", precision);
}

static bool same_how(const struct how *a, const struct how *b)
{
    return a->threads == b->threads && a->on_gpu == b->on_gpu && a->in_fp16 == b->in_fp16;
}

static struct kept *find_kept(const struct job *job)
{
    const struct how how = how_of(job);
    for (struct kept *kept = all_kept; kept; kept = kept->next)
        if (same_how(&kept->how, &how) && kept->pinned == job->pinned && kept->cpu_count == job->cpu_count &&
            memcmp(kept->cpus, job->cpus, job->cpu_count * sizeof *job->cpus) == 0 &&
            strcmp(kept->path, job->model) == 0)
            return kept;
    return NULL;
}

static struct model *keep(const struct job *job, struct model *model)
{
    struct kept *kept = checked_realloc(NULL, 1, sizeof *kept);
    *kept = (struct kept){.next = all_kept, .how = how_of(job), .pinned = job->pinned,
                          .cpu_count = job->cpu_count, .model = *model};
    memcpy(kept->cpus, job->cpus, sizeof kept->cpus);
    kept->path = checked_realloc(NULL, strlen(job->model) + 1, 1);
    strcpy(kept->path, job->model);
    all_kept = kept;
    return &kept->model;
}

static void write_operations(struct text *reply, const struct profile *profile, int runs)
{
    json_open(reply, "op_profile", '{');
    json_number(reply, "runs", runs);
    json_open(reply, "operations", '[');
    for (size_t i = 0; i < profile->count; i++) {
        json_open(reply, NULL, '{');
        json_string(reply, "name", profile->operations[i].name);
        json_string(reply, "by", profile->operations[i].delegated ? "delegate" : "interpreter");
        json_number(reply, "total_us", profile->operations[i].total_us);
        json_close(reply, '}');
    }
    json_close(reply, ']');
    json_close(reply, '}');
}

/* How often each operation was left outside of the delegate. */
static void write_undelegated(struct text *reply, const struct profile *profile)
{
    json_open(reply, "undelegated", '{');
    for (size_t i = 0; i < profile->count; i++) {
        long long before = 0, after = 0;
        for (size_t j = 0; j < profile->count; j++)
            if (!profile->operations[j].delegated &&
                strcmp(profile->operations[j].name, profile->operations[i].name) == 0)
                *(j < i ? &before : &after) += 1;
        if (!profile->operations[i].delegated && !before)
            json_number(reply, profile->operations[i].name, after);
    }
    json_close(reply, '}');
}

/* Nodes and what the delegate took. Where it did not take everything, or the operations are asked
   for, a second copy of the model is compiled with the profiler on: the timed one is without it. */
static bool write_coverage(struct text *reply, const struct job *job, const struct model *model, int runs,
                           struct fault *fault)
{
    const struct how how = {.threads = (int)job->threads, .profiled = true};
    struct model profiled = {0};
    struct profile profile = {.partitions = model->nodes ? 1 : 0};
    bool needed = runs > 0 || !model->delegated;
    if (needed) {
        bool done = model_open(&profiled, job->model, &how, fault) &&
                    model_fill(&profiled, job->seed, job->input, fault);
        fault->stage = "run";
        done = done && model_profile(&profiled, runs > 0 ? runs : 1, &profile, fault);
        if (profiled.compiled)
            model_close(&profiled);
        if (!done)
            return false;
    }
    json_number(reply, "nodes", model->nodes);
    json_number(reply, "delegate_partitions", profile.partitions);
    json_number(reply, "delegated_nodes", model->nodes - profile.outside);
    write_undelegated(reply, &profile);
    if (runs > 0)
        write_operations(reply, &profile, runs);
    profile_free(&profile);
    return true;
}

static bool write_outputs(struct text *reply, const struct job *job, struct model *model, struct fault *fault)
{
    char hex[65];
    long long nonfinite;
    if (!model_outputs(model, job->output, hex, &nonfinite, fault))
        return false;
    json_string(reply, "output_sha256", hex);
    json_number(reply, "output_nonfinite", nonfinite);
    return true;
}

static bool open_fresh(const struct job *job, struct model *fresh, struct fault *fault)
{
    if (!opened++)
        memory_before_kb = process_memory_kb("VmRSS:");
    const struct how how = how_of(job);
    return model_open(fresh, job->model, &how, fault);
}

/* The first run of a model, which may prepare what later ones need. */
static bool run_first(struct model *model, struct text *reply, struct fault *fault)
{
    if (model->has_run)
        return true;
    long long start = now_ns();
    fault->stage = "warmup";
    if (!model_run(model, fault))
        return false;
    json_number(reply, "first_run_ns", now_ns() - start);
    return model->has_run = true;
}

static void write_memory(struct text *reply)
{
    long long peak_kb = process_memory_kb("VmHWM:");
    bool known = opened == 1 && memory_before_kb > 0 && peak_kb >= memory_before_kb;
    json_number(reply, "peak_memory_bytes", known ? (peak_kb - memory_before_kb) * 1024 : UNKNOWN);
    json_number(reply, "rss_kb", process_memory_kb("VmRSS:"));
    json_number(reply, "rss_peak_kb", peak_kb);
}

/* A model that is ready to run: kept from an earlier job, or opened into `fresh`. */
static struct model *ready_model(const struct job *job, struct model *fresh, struct fault *fault)
{
    struct kept *kept = find_kept(job);
    if (kept && !job->input)
        return &kept->model;
    struct model *model = kept ? &kept->model : fresh;
    if (!kept && !open_fresh(job, fresh, fault))
        return NULL;
    if (model_fill(model, job->seed, job->input, fault))
        return !kept && job->keep ? keep(job, fresh) : model;
    if (!kept)
        model_close(fresh);
    return NULL;
}

/* Of a GPU: all of the model is there, or it had been refused; the runtime has no profiler for it, and of the
   memory nothing is known. */
static void write_gpu_coverage(struct text *reply, const struct model *model)
{
    json_string(reply, "processor", "gpu");
    json_string(reply, "delegate", "WebGPU");
    json_number(reply, "nodes", model->nodes);
    json_number(reply, "delegate_partitions", UNKNOWN);
    json_number(reply, "delegated_nodes", model->nodes);
    json_number(reply, "peak_memory_bytes", UNKNOWN);
}

static bool time_model(const struct job *job, struct model *model, struct text *reply, struct fault *fault)
{
    struct timing timing = {.start_ns = now_ns()};
    fault->stage = "warmup";
    bool done = timing_warm_up(job, model, &timing, fault);
    if (done) {
        fault->stage = "run";
        done = timing_sample(job, model, &timing, fault);
    }
    if (done)
        timing_write(reply, job, &timing, how_of(job).on_gpu);
    timing_free(&timing);
    return done;
}

/* The same, between two looks at whether what comes out is right, and whether it was waited for. */
static bool time_on_gpu(const struct job *job, struct model *model, struct text *reply, struct fault *fault)
{
    struct difference first, last;
    long long lock_ns = 0;
    if (!check_run(model, job, &first, fault) || !time_model(job, model, reply, fault) ||
        !check_waits(model, &lock_ns, fault) || !check_run(model, job, &last, fault))
        return false;
    json_number(reply, "lock_ns", lock_ns);
    check_write(reply, &first, &last);
    return true;
}

static void write_circumstances(struct text *reply, const struct job *job, const struct model *model)
{
    json_number(reply, "load_ns", model->load_ns);
    json_number(reply, "compile_ns", model->compile_ns);
    json_number(reply, "threads", job->threads);
    affinity_write(reply, "affinity");
    device_temperatures(reply, "thermal_mc");
}

static bool measure(const struct job *job, struct model *model, int op_profile_runs, struct text *reply,
                    struct fault *fault)
{
    const bool on_gpu = how_of(job).on_gpu;
    device_temperatures(reply, "thermal_before_mc");
    if (!run_first(model, reply, fault) ||
        !(on_gpu ? time_on_gpu : time_model)(job, model, reply, fault))
        return false;
    if (!on_gpu)
        write_memory(reply);
    if (!write_outputs(reply, job, model, fault))
        return false;
    write_circumstances(reply, job, model);
    if (on_gpu)
        write_gpu_coverage(reply, model);
    return on_gpu || write_coverage(reply, job, model, op_profile_runs, fault);
}

static bool ready_to_count(struct fault *fault)
{
    char missing[400];
    return energy_ready(missing, sizeof missing) || fault_set(fault, "energy must be counted, but %s", missing);
}

bool answer_job(const struct job *job, const struct gpus *gpus, int op_profile_runs, struct text *reply,
                struct fault *fault)
{
    struct model fresh = {0};
    fault->stage = "plan";
    if (!require_possible(job, gpus, fault) || !affinity_set(job, fault->message, sizeof fault->message))
        return false;
    if (job->energy_steps && !ready_to_count(fault))
        return false;
    struct model *model = ready_model(job, &fresh, fault);
    if (!model)
        return false;
    bool done = measure(job, model, op_profile_runs, reply, fault);
    if (model == &fresh)
        model_close(model);
    return done;
}
