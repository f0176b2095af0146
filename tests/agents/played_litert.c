/* Stands before LiteRT's library, and finds the rest of it behind.

   With WAIT_TYPE, LiteRT is told that one in the place of the agent's. With TAKES, the CPU plays a GPU of that
   name: in fp32, or somewhat off it where HALF is set. LIE says what goes wrong there: once (right on the first
   runs only), stale (writes nothing after them), infinite, late (not done when a run ends), part (a part is left
   to the CPU), refuse (does not compile), lost (a run fails, and all after it), crash (in compiling). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REAL(name, ...) int (*real)(__VA_ARGS__) = (int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

enum { CPU = 1, GPU = 2, WRITE = 1, LATE_US = 20000 };

struct set {
    void *items[64];
    size_t count;
};

static struct set options_of_gpu, models_of_gpu;
static long runs, ready = 1;

static bool lies(const char *how)
{
    const char *lie = getenv("LIE");
    return lie && strcmp(lie, how) == 0;
}

static bool is_in(const struct set *set, const void *item)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i] == item)
            return true;
    return false;
}

/* Whether an item is in a set from now on; where it is may have been another one's before. */
static void put(struct set *set, void *item, bool in)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i] == item)
            set->items[i] = NULL;
    if (in)
        set->items[set->count++] = item;
}

int LiteRtSetOptionsHardwareAccelerators(void *options, int accelerators)
{
    REAL(LiteRtSetOptionsHardwareAccelerators, void *, int);
    bool played = getenv("TAKES") && accelerators == GPU;
    put(&options_of_gpu, options, played);
    return real(options, played ? CPU : accelerators);
}

int LiteRtCreateOpaqueOptions(const char *name, void *text, void (*drop)(void *), void **made)
{
    REAL(LiteRtCreateOpaqueOptions, const char *, void *, void (*)(void *), void **);
    char *wait = strstr(text, "wait_type = 2");
    if (wait && getenv("WAIT_TYPE"))
        wait[strlen("wait_type = ")] = getenv("WAIT_TYPE")[0];
    if (getenv("TAKES") && wait) {
        fprintf(stderr, "settings: %s\n", (char *)text);
        strcpy(text, "num_threads = 1\n");
        name = "xnnpack";
    }
    return real(name, text, drop, made);
}

int LiteRtCreateCompiledModel(void *environment, void *model, void *options, void **compiled)
{
    REAL(LiteRtCreateCompiledModel, void *, void *, void *, void **);
    int status = real(environment, model, options, compiled);
    bool played = is_in(&options_of_gpu, options);
    put(&models_of_gpu, *compiled, played);
    if (!played)
        return status;
    if (models_of_gpu.count == 1)
        fprintf(stderr, "I0000 Selected adapter: %s, arch=played, backend=Vulkan, adapterType=Discrete\n",
                getenv("TAKES"));
    if (lies("crash")) {
        fprintf(stderr, "ERROR: [driver.c:1] the driver says why\n");
        raise(SIGSEGV);
    }
    if (lies("refuse")) {
        fprintf(stderr, "ERROR: [driver.c:1] No adapters found\n");
        return 3;
    }
    return status;
}

int LiteRtCompiledModelIsNonCpuFullyAccelerated(void *compiled, bool *whole)
{
    REAL(LiteRtCompiledModelIsNonCpuFullyAccelerated, void *, bool *);
    if (!getenv("TAKES"))
        return real(compiled, whole);
    *whole = !lies("part");
    return 0;
}

int LiteRtLockTensorBuffer(void *buffer, void **at, int mode)
{
    REAL(LiteRtLockTensorBuffer, void *, void **, int);
    if (mode != WRITE && !ready)
        usleep(LATE_US);
    ready |= mode != WRITE;
    return real(buffer, at, mode);
}

/* Changes the first value of the first output. */
static void spoil(void *output, float by)
{
    float *values = NULL;
    int (*lock)(void *, void **, int) = (int (*)(void *, void **, int))dlsym(RTLD_NEXT, "LiteRtLockTensorBuffer");
    int (*unlock)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "LiteRtUnlockTensorBuffer");
    if (lock(output, (void **)&values, WRITE) == 0) {
        values[0] += by * fabsf(values[0]);
        unlock(output);
    }
}

int LiteRtRunCompiledModel(void *compiled, size_t signature, size_t ins, void **in, size_t outs, void **out)
{
    REAL(LiteRtRunCompiledModel, void *, size_t, size_t, void **, size_t, void **);
    if (!is_in(&models_of_gpu, compiled))
        return real(compiled, signature, ins, in, outs, out);
    runs++;
    if (lies("lost") && runs > 2)
        return 3;
    if (lies("stale") && runs > 2)
        return 0;
    int status = real(compiled, signature, ins, in, outs, out);
    if (getenv("HALF"))
        spoil(out[0], 0.01f);
    if (lies("once") && runs > 2)
        spoil(out[0], 10.0f);
    if (lies("infinite"))
        spoil(out[0], INFINITY);
    ready = !lies("late");
    return status;
}
