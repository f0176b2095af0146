/* LiteRT's C library, loaded at run time, and one model in it. */
#ifndef HWNAS_LITERT_H
#define HWNAS_LITERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a job cannot be done, and in which stage of the protocol. */
struct fault {
    const char *stage;
    char message[512];
};

bool fault_set(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Loads the library and finds what is needed in it; once a process. */
bool litert_load(const char *path, struct fault *fault);

/* Where the library of the GPU's accelerator is, and the name of the adapter that it must take; once a process,
   before the first model. Without, there is the CPU alone. */
void litert_use_gpu(const char *folder, const char *adapter);

/* Where and in what a model is computed; on the CPU, as its file says. */
struct how {
    int threads;
    bool on_gpu, in_fp16;
    bool profiled;
};

struct model {
    void *model, *options, *compiled, *signature;
    void **inputs, **outputs;
    size_t input_count, output_count;
    long long load_ns, compile_ns, nodes;
    bool delegated; /* all of it runs in the delegate, or on the GPU */
    bool has_run;
    float **expected; /* each output, as the CPU computes it; NULL until that is asked for */
};

/* What ran in one pass of the profiler, in order. */
struct operation {
    char name[96];
    bool delegated;
    long long total_us;
};

struct profile {
    struct operation *operations;
    size_t count;
    long long partitions, outside; /* delegate partitions; nodes outside them */
};

/* Each sets fault->stage as it goes; a model that failed to open needs no closing. */
bool model_open(struct model *model, const char *path, const struct how *how, struct fault *fault);
bool model_fill(struct model *model, long long seed, const char *file, struct fault *fault);
bool model_run(struct model *model, struct fault *fault);
/* Digest of all outputs, how many of their floats are not finite, and a copy in `file` if given. */
bool model_outputs(struct model *model, const char *file, char hex[65], long long *nonfinite,
                   struct fault *fault);
void model_forget_expected(struct model *model);
bool model_profile(struct model *model, int runs, struct profile *profile, struct fault *fault);
void profile_free(struct profile *profile);
void model_close(struct model *model);

#endif
