/* Energy of the processor's packages, all together, from the kernel's RAPL counters. */
#ifndef HWNAS_ENERGY_H
#define HWNAS_ENERGY_H

#include <stdbool.h>

#include "json.h"

/* What the counters rose by; begun, then ended. */
struct energy {
    long long start_ns, elapsed_ns, start_uj, uj, steps;
};

/* Member of the hello: which counter there is, or what is missing. */
void energy_describe(struct text *out, const char *name);

/* Watches the counter step, and what it counts while this process rests; once a process. */
bool energy_ready(char *error, size_t size);

/* How long a span is in which the counter steps so often, within reason. */
long long energy_span_ns(long long steps);

bool energy_begin(struct energy *energy, char *error, size_t size);
bool energy_end(struct energy *energy, char *error, size_t size);
void energy_write(struct text *out, const char *name, const struct energy *energy, long long inferences);

#endif
