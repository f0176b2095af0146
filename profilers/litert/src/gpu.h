/* GPUs: which there are, and which one is to be used. */
#ifndef HWNAS_GPU_H
#define HWNAS_GPU_H

#include "json.h"

#define MOST_ADAPTERS 16

struct adapter {
    char name[256], driver[520];
    unsigned vendor;
    int kind; /* as Vulkan numbers them */
};

struct gpus {
    struct adapter adapters[MOST_ADAPTERS];
    size_t count;
    const struct adapter *chosen; /* NULL where none can be used, and `problem` says why */
    char problem[1024];
};

/* Looks for GPUs in a process of its own, since drivers crash, and chooses one. A processor that only plays one
   is taken where it is asked for: `wanted` is a part of the name, NULL for the only real one. */
void gpus_find(struct gpus *gpus, const char *wanted);

/* Members of the hello. */
void gpus_write(struct text *reply, const struct gpus *gpus);

#endif
