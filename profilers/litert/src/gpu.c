#include "gpu.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOKING_S 20 /* a driver that takes longer hangs */

/* The part of Vulkan 1.1 that is used, declared by hand. */
enum { APPLICATION = 0, INSTANCE = 1, PROPERTIES = 1000059001, DRIVER = 1000196000 };
enum { VULKAN_1_2 = 1 << 22 | 2 << 12, SOFTWARE = 4 };

struct application {
    int type;
    const void *next;
    const char *name;
    unsigned version;
    const char *engine;
    unsigned engine_version, api_version;
};

struct instance {
    int type;
    const void *next;
    unsigned flags;
    const struct application *application;
    unsigned layer_count;
    const char *const *layers;
    unsigned extension_count;
    const char *const *extensions;
};

struct driver {
    int type;
    void *next;
    int id;
    char name[256], info[256];
    unsigned char conformance[4];
};

struct properties {
    int type;
    void *next;
    unsigned api_version, driver_version, vendor, device;
    int kind;
    char name[256];
    double rest[256]; /* identifiers and limits: 544 bytes in 1.2 */
};

typedef int (*create_instance)(const struct instance *, const void *, void **);
typedef int (*enumerate_devices)(void *, unsigned *, void **);
typedef void (*get_properties)(void *, struct properties *);

static void describe(struct adapter *adapter, void *device, get_properties get)
{
    struct driver driver = {.type = DRIVER};
    struct properties found = {.type = PROPERTIES, .next = &driver};
    get(device, &found);
    *adapter = (struct adapter){.vendor = found.vendor, .kind = found.kind};
    snprintf(adapter->name, sizeof adapter->name, "%.255s", found.name);
    snprintf(adapter->driver, sizeof adapter->driver, "%.255s %.255s", driver.name, driver.info);
}

/* A function of the library, into a pointer to one. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol;
}

static void look(struct gpus *gpus)
{
    const struct application application = {.type = APPLICATION, .name = "hwnas", .api_version = VULKAN_1_2};
    const struct instance wanted = {.type = INSTANCE, .application = &application};
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL), *instance = NULL, *devices[MOST_ADAPTERS];
    create_instance create;
    enumerate_devices enumerate;
    get_properties get;
    unsigned count = MOST_ADAPTERS;
    if (!library) {
        snprintf(gpus->problem, sizeof gpus->problem, "Vulkan's loader must be installed, but: %.200s", dlerror());
        return;
    }
    if (!find(library, "vkCreateInstance", &create) || !find(library, "vkEnumeratePhysicalDevices", &enumerate) ||
        !find(library, "vkGetPhysicalDeviceProperties2", &get)) {
        snprintf(gpus->problem, sizeof gpus->problem, "Vulkan's loader must be of 1.1 or later, but is older");
        return;
    }
    int status = create(&wanted, NULL, &instance);
    if (status < 0 || enumerate(instance, &count, devices) < 0) {
        snprintf(gpus->problem, sizeof gpus->problem,
                 "a Vulkan driver of 1.1 or later must be installed, but none is (status %d)", status);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        describe(&gpus->adapters[gpus->count++], devices[i], get);
}

/* Names of all adapters, for a message. */
static void list(const struct gpus *gpus, char *names, size_t size)
{
    size_t length = 0;
    names[0] = 0;
    for (size_t i = 0; i < gpus->count && length < size; i++)
        length += (size_t)snprintf(names + length, size - length, "%s%.100s", i ? ", " : "", gpus->adapters[i].name);
}

static void choose(struct gpus *gpus, const char *wanted)
{
    char names[600];
    const struct adapter *found = NULL;
    list(gpus, names, sizeof names);
    for (size_t i = 0; i < gpus->count; i++) {
        const struct adapter *adapter = &gpus->adapters[i];
        if (wanted ? !strstr(adapter->name, wanted) : adapter->kind == SOFTWARE)
            continue;
        if (found && strcmp(found->name, adapter->name) != 0) {
            snprintf(gpus->problem, sizeof gpus->problem,
                     "one adapter must be meant, but there are %s: say which by the option adapter", names);
            return;
        }
        found = adapter;
    }
    gpus->chosen = found;
    if (found || gpus->problem[0])
        return;
    if (!gpus->count)
        snprintf(gpus->problem, sizeof gpus->problem, "a Vulkan driver must find a GPU, but finds none");
    else if (wanted)
        snprintf(gpus->problem, sizeof gpus->problem, "an adapter must be called %.100s, but there is %s", wanted,
                 names);
    else
        snprintf(gpus->problem, sizeof gpus->problem,
                 "an adapter must be a GPU, but there is only software that plays one: %s; its times are of the "
                 "CPU, so that the option adapter has to name it", names);
}

void gpus_find(struct gpus *gpus, const char *wanted)
{
    int status = 0;
    struct gpus *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t looker = shared == MAP_FAILED ? -1 : fork();
    *gpus = (struct gpus){0};
    if (looker == 0) {
        alarm(LOOKING_S);
        look(shared);
        _exit(0);
    }
    if (looker > 0 && waitpid(looker, &status, 0) == looker && status == 0)
        *gpus = *shared;
    else if (WIFSIGNALED(status))
        snprintf(gpus->problem, sizeof gpus->problem, "a Vulkan driver must list its GPUs, but %s",
                 WTERMSIG(status) == SIGALRM ? "hangs" : "crashes");
    else
        snprintf(gpus->problem, sizeof gpus->problem, "a second process must look for GPUs, but did not");
    if (shared != MAP_FAILED)
        munmap(shared, sizeof *shared);
    choose(gpus, wanted);
}

static const char *kind_name(int kind)
{
    static const char *const names[] = {"other", "integrated", "discrete", "virtual", "software"};
    return kind >= 0 && kind <= SOFTWARE ? names[kind] : "other";
}

static void write_adapter(struct text *reply, const char *name, const struct adapter *adapter)
{
    char vendor[16];
    snprintf(vendor, sizeof vendor, "0x%04x", adapter->vendor);
    json_open(reply, name, '{');
    json_string(reply, "name", adapter->name);
    json_string(reply, "vendor", vendor);
    json_string(reply, "kind", kind_name(adapter->kind));
    json_string(reply, "backend", "Vulkan");
    json_string(reply, "driver", adapter->driver);
    json_boolean(reply, "software", adapter->kind == SOFTWARE);
    json_close(reply, '}');
}

void gpus_write(struct text *reply, const struct gpus *gpus)
{
    json_open(reply, "processors", '[');
    json_string(reply, NULL, "cpu");
    if (gpus->chosen)
        json_string(reply, NULL, "gpu");
    json_close(reply, ']');
    if (gpus->chosen)
        write_adapter(reply, "gpu", gpus->chosen);
    else
        json_string(reply, "no_gpu", gpus->problem);
    json_open(reply, "adapters", '[');
    for (size_t i = 0; i < gpus->count; i++)
        write_adapter(reply, NULL, &gpus->adapters[i]);
    json_close(reply, ']');
}
