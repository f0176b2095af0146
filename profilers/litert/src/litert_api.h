/* The part of LiteRT's C interface that is used, declared by hand (releases 2.2 and 2.3).
   The interface is not stable between releases: the library is pinned by its digest. */
#ifndef HWNAS_LITERT_API_H
#define HWNAS_LITERT_API_H

#include "litert.h"

#define MOST_DIMENSIONS 8
#define MOST_TENSORS 64

struct layout {
    unsigned rank : 7, has_strides : 1;
    int32_t dimensions[MOST_DIMENSIONS];
    uint32_t strides[MOST_DIMENSIONS];
};

struct tensor_type {
    int element;
    struct layout layout;
};

struct environment_option {
    int tag;
    struct {
        int kind;
        union {
            int64_t integer;
            const void *pointer;
        } value;
    } any;
};

struct event {
    const char *tag;
    int type;
    uint64_t start_us, elapsed_us;
    size_t memory[6];
    uint64_t metadata[2];
    int source;
};

_Static_assert(sizeof(struct layout) == 68, "LiteRT's layout");
_Static_assert(sizeof(struct tensor_type) == 72, "LiteRT's ranked tensor type");
_Static_assert(sizeof(struct environment_option) == 24, "LiteRT's environment option");
_Static_assert(sizeof(struct event) == 104, "LiteRT's profiler event");

enum { ACCELERATOR_CPU = 1, ACCELERATOR_GPU = 2 };
enum { OPTION_LIBRARIES = 22, OPTION_ACCELERATORS = 24, OPTION_LEAST_SEVERITY = 25 };
enum { OPTION_INTEGER = 2, OPTION_STRING = 8, SEVERITY_WARNING = 2 };
enum { GPU_FP16 = 1, GPU_FP32 = 2, GPU_WAITS = 2 }; /* of the GPU's precision, and of its wait_type */
enum { LOCK_READ = 0, LOCK_WRITE = 1 };
enum { EVENT_NODE = 2, EVENT_DELEGATE_OPERATION = 8 };
enum { FLOAT32 = 1, INT32 = 2, UINT8 = 3, INT64 = 4, BOOLEAN = 6, INT8 = 9, FLOAT16 = 10, FLOAT64 = 11 };

/* result, name without "LiteRt", parameters; handles are void * */
#define LITERT_FUNCTIONS(X)                                                              \
    X(int, CreateEnvironment, (int, const struct environment_option *, void **))         \
    X(int, CreateModelFromFile, (void *, const char *, void **))                         \
    X(void, DestroyModel, (void *))                                                      \
    X(int, GetNumModelSignatures, (void *, size_t *))                                    \
    X(int, GetModelSignature, (void *, size_t, void **))                                 \
    X(int, GetSignatureSubgraph, (void *, void **))                                      \
    X(int, GetNumSubgraphOps, (void *, size_t *))                                        \
    X(int, GetNumSignatureInputs, (void *, size_t *))                                    \
    X(int, GetNumSignatureOutputs, (void *, size_t *))                                   \
    X(int, GetSignatureInputTensorByIndex, (void *, size_t, void **))                    \
    X(int, GetSignatureOutputTensorByIndex, (void *, size_t, void **))                   \
    X(int, GetRankedTensorType, (void *, struct tensor_type *))                          \
    X(int, CreateOptions, (void **))                                                     \
    X(void, DestroyOptions, (void *))                                                    \
    X(int, SetOptionsHardwareAccelerators, (void *, int))                                \
    X(int, CreateOpaqueOptions, (const char *, void *, void (*)(void *), void **))       \
    X(int, AddOpaqueOptions, (void *, void *))                                           \
    X(int, CreateCompiledModel, (void *, void *, void *, void **))                       \
    X(void, DestroyCompiledModel, (void *))                                              \
    X(int, CompiledModelIsFullyAccelerated, (void *, bool *))                            \
    X(int, CompiledModelIsNonCpuFullyAccelerated, (void *, bool *))                      \
    X(int, CompiledModelResizeInputTensorNonStrict, (void *, size_t, size_t, const int *, size_t)) \
    X(int, GetCompiledModelOutputTensorLayouts, (void *, size_t, size_t, struct layout *, bool))   \
    X(int, GetCompiledModelInputBufferRequirements, (void *, size_t, size_t, void **))   \
    X(int, GetCompiledModelOutputBufferRequirements, (void *, size_t, size_t, void **))  \
    X(int, CreateManagedTensorBufferFromRequirements, (void *, const struct tensor_type *, void *, void **)) \
    X(void, DestroyTensorBuffer, (void *))                                               \
    X(int, LockTensorBuffer, (void *, void **, int))                                     \
    X(int, UnlockTensorBuffer, (void *))                                                 \
    X(int, GetTensorBufferPackedSize, (void *, size_t *))                                \
    X(int, RunCompiledModel, (void *, size_t, size_t, void **, size_t, void **))         \
    X(int, CompiledModelGetProfiler, (void *, void **))                                  \
    X(int, StartProfiler, (void *))                                                      \
    X(int, StopProfiler, (void *))                                                       \
    X(int, GetNumProfilerEvents, (void *, int *))                                        \
    X(int, GetProfilerEvents, (void *, int, struct event *))

struct litert_api {
#define X(result, name, parameters) result(*name) parameters;
    LITERT_FUNCTIONS(X)
#undef X
};

extern struct litert_api api;

/* True for success; otherwise names the call and its status in the fault. */
bool litert_good(int status, const char *call, struct fault *fault);

#define TRY(name, ...) litert_good(api.name(__VA_ARGS__), #name, fault)

bool model_input_type(struct model *model, size_t index, struct tensor_type *type, struct fault *fault);
bool model_output_type(struct model *model, size_t index, struct tensor_type *type, struct fault *fault);

#endif
