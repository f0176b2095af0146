#include "litert_api.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "hearing.h"
#include "json.h"

struct litert_api api;

static const char *gpu_folder, *gpu_adapter;
static void *environment; /* made at the first model: its threads must not exist before a fork */

bool fault_set(struct fault *fault, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(fault->message, sizeof fault->message, format, values);
    va_end(values);
    return false;
}

static const char *status_name(int status)
{
    static const struct {
        int status;
        const char *name;
    } names[] = {
        {1, "invalid argument"},      {2, "out of memory"},       {3, "runtime failure"},
        {4, "missing input"},         {5, "unsupported"},         {6, "not found"},
        {8, "wrong version"},         {500, "not readable or no model"},    {501, "not a valid model"},
        {502, "a library is missing"}, {504, "cannot be compiled"}, {1000, "index out of bounds"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].status == status)
            return names[i].name;
    return "unknown";
}

bool litert_good(int status, const char *call, struct fault *fault)
{
    return status == 0 || fault_set(fault, "LiteRt%s failed: %s (status %d)", call, status_name(status), status);
}

bool litert_load(const char *path, struct fault *fault)
{
    fault->stage = "library";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;
    if (!library)
        return fault_set(fault, "%s", dlerror());
#define X(result, name, parameters)                                                \
    symbol = dlsym(library, "LiteRt" #name);                                       \
    if (!symbol)                                                                   \
        return fault_set(fault, "%s lacks LiteRt" #name ": another release?", path); \
    memcpy(&api.name, &symbol, sizeof symbol);
    LITERT_FUNCTIONS(X)
#undef X
    return true;
}

void litert_use_gpu(const char *folder, const char *adapter)
{
    gpu_folder = folder;
    gpu_adapter = adapter;
}

static bool start_environment(struct fault *fault)
{
    const int accelerators = gpu_folder ? ACCELERATOR_CPU | ACCELERATOR_GPU : ACCELERATOR_CPU;
    const struct environment_option options[] = {
        {OPTION_ACCELERATORS, {OPTION_INTEGER, {.integer = accelerators}}},
        {OPTION_LEAST_SEVERITY, {OPTION_INTEGER, {.integer = SEVERITY_WARNING}}},
        {OPTION_LIBRARIES, {OPTION_STRING, {.pointer = gpu_folder}}},
    };
    return environment || TRY(CreateEnvironment, gpu_folder ? 3 : 2, options, &environment);
}

/* Options travel as an identifier and a text of settings that the library frees. */
static bool add_setting(void *options, const char *identifier, const char *setting, struct fault *fault)
{
    void *opaque = NULL;
    char *copy = strdup(setting);
    if (!copy)
        return fault_set(fault, "out of memory");
    return TRY(CreateOpaqueOptions, identifier, copy, free, &opaque) && TRY(AddOpaqueOptions, options, opaque);
}

/* A run must be waited for: LiteRT returns from one before it is done unless it is told to wait. Its default
   computes in fp16. */
static bool add_gpu_settings(struct model *model, const struct how *how, struct fault *fault)
{
    char setting[400];
    int length = snprintf(setting, sizeof setting, "precision = %d\nwait_type = %d\n",
                          how->in_fp16 ? GPU_FP16 : GPU_FP32, GPU_WAITS);
    if (!strchr(gpu_adapter, '\''))
        snprintf(setting + length, sizeof setting - (size_t)length, "preferred_device_substr = '%s'\n", gpu_adapter);
    return add_setting(model->options, "gpu_options", setting, fault);
}

static bool add_settings(struct model *model, const struct how *how, struct fault *fault)
{
    char setting[64];
    const int accelerator = how->on_gpu ? ACCELERATOR_GPU : ACCELERATOR_CPU;
    if (!TRY(CreateOptions, &model->options) || !TRY(SetOptionsHardwareAccelerators, model->options, accelerator))
        return false;
    if (how->on_gpu)
        return add_gpu_settings(model, how, fault);
    snprintf(setting, sizeof setting, "num_threads = %d\n", how->threads);
    return add_setting(model->options, "xnnpack", setting, fault) &&
           (!how->profiled ||
            add_setting(model->options, "runtime_options_string", "enable_profiling = true\n", fault));
}

/* Whether LiteRT took the adapter that it was to take: it takes another one where it knows none of that name. */
static bool on_adapter(const char *said, struct fault *fault)
{
    const char *adapter = heard_adapter(said);
    size_t length = strlen(gpu_adapter);
    bool named = strncmp(adapter, gpu_adapter, length) == 0 && adapter[length] == ',';
    return (named && strstr(adapter, "backend=Vulkan")) ||
           fault_set(fault, "LiteRT must take the adapter %.150s over Vulkan, but says: %.200s", gpu_adapter,
                     *adapter ? adapter : "nothing");
}

static bool compile_for_gpu(struct model *model, struct fault *fault)
{
    char reason[256];
    hearing_begin();
    bool done = TRY(CreateCompiledModel, environment, model->model, model->options, &model->compiled);
    const char *said = hearing_end();
    heard_error(said, reason, sizeof reason);
    size_t length = strlen(fault->message);
    if (!done && *reason)
        snprintf(fault->message + length, sizeof fault->message - length, ": %s", reason);
    if (!done || !on_adapter(said, fault) ||
        !TRY(CompiledModelIsNonCpuFullyAccelerated, model->compiled, &model->delegated))
        return false;
    return model->delegated || fault_set(fault, "the GPU must take the whole model, but took a part of it");
}

static bool compile(struct model *model, const struct how *how, struct fault *fault)
{
    if (!add_settings(model, how, fault))
        return false;
    long long start = now_ns();
    bool done = how->on_gpu ? compile_for_gpu(model, fault)
                            : TRY(CreateCompiledModel, environment, model->model, model->options, &model->compiled);
    model->compile_ns = now_ns() - start;
    return done && (how->on_gpu || TRY(CompiledModelIsFullyAccelerated, model->compiled, &model->delegated));
}

static bool read_model(struct model *model, const char *path, struct fault *fault)
{
    size_t signatures = 0, nodes = 0;
    void *subgraph = NULL;
    long long start = now_ns();
    if (!TRY(CreateModelFromFile, environment, path, &model->model))
        return false;
    model->load_ns = now_ns() - start;
    if (!TRY(GetNumModelSignatures, model->model, &signatures))
        return false;
    if (!signatures)
        return fault_set(fault, "a model must have a signature or one subgraph, but this one has none");
    if (!TRY(GetModelSignature, model->model, 0, &model->signature) ||
        !TRY(GetSignatureSubgraph, model->signature, &subgraph) || !TRY(GetNumSubgraphOps, subgraph, &nodes) ||
        !TRY(GetNumSignatureInputs, model->signature, &model->input_count) ||
        !TRY(GetNumSignatureOutputs, model->signature, &model->output_count))
        return false;
    model->nodes = (long long)nodes;
    if (model->input_count > MOST_TENSORS || model->output_count > MOST_TENSORS || !model->output_count)
        return fault_set(fault, "a model must have at most %d inputs and 1 to %d outputs, but got %zu and %zu",
                         MOST_TENSORS, MOST_TENSORS, model->input_count, model->output_count);
    return true;
}

bool model_input_type(struct model *model, size_t index, struct tensor_type *type, struct fault *fault)
{
    void *tensor = NULL;
    return TRY(GetSignatureInputTensorByIndex, model->signature, index, &tensor) &&
           TRY(GetRankedTensorType, tensor, type);
}

bool model_output_type(struct model *model, size_t index, struct tensor_type *type, struct fault *fault)
{
    void *tensor = NULL;
    return TRY(GetSignatureOutputTensorByIndex, model->signature, index, &tensor) &&
           TRY(GetRankedTensorType, tensor, type);
}

static bool allocate_input(struct model *model, size_t index, struct fault *fault)
{
    struct tensor_type type;
    void *requirements = NULL;
    int dimensions[MOST_DIMENSIONS];
    bool open_ended = false;
    if (!model_input_type(model, index, &type, fault))
        return false;
    if (type.layout.rank > MOST_DIMENSIONS)
        return fault_set(fault, "a tensor must have at most %d dimensions", MOST_DIMENSIONS);
    for (unsigned i = 0; i < type.layout.rank; i++) {
        open_ended |= type.layout.dimensions[i] < 0;
        dimensions[i] = type.layout.dimensions[i] = type.layout.dimensions[i] < 0 ? 1 : type.layout.dimensions[i];
    }
    if (open_ended && !TRY(CompiledModelResizeInputTensorNonStrict, model->compiled, 0, index, dimensions,
                           type.layout.rank))
        return false;
    return TRY(GetCompiledModelInputBufferRequirements, model->compiled, 0, index, &requirements) &&
           TRY(CreateManagedTensorBufferFromRequirements, environment, &type, requirements, &model->inputs[index]);
}

static bool allocate_outputs(struct model *model, struct fault *fault)
{
    struct layout layouts[MOST_TENSORS];
    if (!TRY(GetCompiledModelOutputTensorLayouts, model->compiled, 0, model->output_count, layouts, true))
        return false;
    for (size_t i = 0; i < model->output_count; i++) {
        struct tensor_type type;
        void *requirements = NULL;
        if (!model_output_type(model, i, &type, fault))
            return false;
        type.layout = layouts[i];
        if (!TRY(GetCompiledModelOutputBufferRequirements, model->compiled, 0, i, &requirements) ||
            !TRY(CreateManagedTensorBufferFromRequirements, environment, &type, requirements, &model->outputs[i]))
            return false;
    }
    return true;
}

static bool allocate(struct model *model, struct fault *fault)
{
    model->inputs = checked_realloc(NULL, model->input_count, sizeof *model->inputs);
    model->outputs = checked_realloc(NULL, model->output_count, sizeof *model->outputs);
    for (size_t i = 0; i < model->input_count; i++)
        model->inputs[i] = NULL;
    for (size_t i = 0; i < model->output_count; i++)
        model->outputs[i] = NULL;
    for (size_t i = 0; i < model->input_count; i++)
        if (!allocate_input(model, i, fault))
            return false;
    return allocate_outputs(model, fault);
}

bool model_open(struct model *model, const char *path, const struct how *how, struct fault *fault)
{
    *model = (struct model){0};
    fault->stage = "load";
    bool done = start_environment(fault) && read_model(model, path, fault) &&
                compile(model, how, fault);
    if (done) {
        fault->stage = "allocate";
        done = allocate(model, fault);
    }
    if (!done)
        model_close(model);
    return done;
}

void model_close(struct model *model)
{
    for (size_t i = 0; model->inputs && i < model->input_count; i++)
        if (model->inputs[i])
            api.DestroyTensorBuffer(model->inputs[i]);
    for (size_t i = 0; model->outputs && i < model->output_count; i++)
        if (model->outputs[i])
            api.DestroyTensorBuffer(model->outputs[i]);
    model_forget_expected(model);
    free(model->inputs);
    free(model->outputs);
    if (model->compiled)
        api.DestroyCompiledModel(model->compiled);
    if (model->options)
        api.DestroyOptions(model->options);
    if (model->model)
        api.DestroyModel(model->model);
    *model = (struct model){0};
}

bool model_run(struct model *model, struct fault *fault)
{
    return TRY(RunCompiledModel, model->compiled, 0, model->input_count, model->inputs, model->output_count,
               model->outputs);
}
