#include "litert_api.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "json.h"

struct litert_api api;

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

static bool start_environment(struct fault *fault)
{
    const struct environment_option options[] = {
        {OPTION_ACCELERATORS, {OPTION_INTEGER, {.integer = ACCELERATOR_CPU}}},
        {OPTION_LEAST_SEVERITY, {OPTION_INTEGER, {.integer = SEVERITY_WARNING}}},
    };
    return environment || TRY(CreateEnvironment, 2, options, &environment);
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

static bool compile(struct model *model, int threads, bool profiled, struct fault *fault)
{
    char setting[64];
    if (!TRY(CreateOptions, &model->options) ||
        !TRY(SetOptionsHardwareAccelerators, model->options, ACCELERATOR_CPU))
        return false;
    snprintf(setting, sizeof setting, "num_threads = %d\n", threads);
    if (!add_setting(model->options, "xnnpack", setting, fault))
        return false;
    if (profiled && !add_setting(model->options, "runtime_options_string", "enable_profiling = true\n", fault))
        return false;
    long long start = now_ns();
    if (!TRY(CreateCompiledModel, environment, model->model, model->options, &model->compiled))
        return false;
    model->compile_ns = now_ns() - start;
    return TRY(CompiledModelIsFullyAccelerated, model->compiled, &model->delegated);
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

bool model_open(struct model *model, const char *path, int threads, bool profiled, struct fault *fault)
{
    *model = (struct model){0};
    fault->stage = "load";
    bool done = start_environment(fault) && read_model(model, path, fault) &&
                compile(model, threads, profiled, fault);
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
