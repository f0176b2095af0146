/* Vulkan's loader, played: it lists the GPUs that ADAPTERS names, as "name=kind,…", and can do nothing else. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct properties {
    int type;
    struct driver *next;
    unsigned api_version, driver_version, vendor, device;
    int kind;
    char name[256];
};

struct driver {
    int type;
    void *next;
    int id;
    char name[256], info[256];
};

static int is_asked(const char *what)
{
    const char *asked = getenv("VULKAN");
    return asked && strcmp(asked, what) == 0;
}

int vkCreateInstance(const void *wanted, const void *allocator, void **instance)
{
    (void)wanted, (void)allocator;
    if (is_asked("crash"))
        raise(SIGSEGV);
    if (is_asked("incompatible"))
        return -9;
    *instance = strdup(getenv("ADAPTERS") ? getenv("ADAPTERS") : "");
    return 0;
}

int vkEnumeratePhysicalDevices(void *instance, unsigned *count, void **devices)
{
    *count = 0;
    for (char *at = strtok(instance, ","); at; at = strtok(NULL, ","))
        devices[(*count)++] = at;
    return 0;
}

void vkGetPhysicalDeviceProperties2(void *device, struct properties *found)
{
    char *kind = strchr(device, '=');
    found->vendor = 0x1234;
    found->kind = atoi(kind + 1);
    strncat(found->name, device, (size_t)(kind - (char *)device));
    strcpy(found->next->name, "played");
    strcpy(found->next->info, "1.2");
}
