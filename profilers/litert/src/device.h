/* What the device says of itself: CPUs, clocks, temperatures, load. Nothing is invented: what
   cannot be read is written as null or left out of its list. */
#ifndef HWNAS_DEVICE_H
#define HWNAS_DEVICE_H

#include <stdbool.h>

#include "json.h"
#include "plan.h"

long long now_ns(void); /* monotonic clock */

/* Reads a small file whole, without the white space at its end. */
bool read_file(const char *path, char *buffer, size_t size);

/* The whole number in a small file, or UNKNOWN. */
long long read_number(const char *path);

/* Members of the hello: machine, kernel, processor features, one object a CPU. */
void device_describe(struct text *out);

/* Current clock of each CPU in kHz; returns how many CPUs there are. */
size_t device_clocks(long long khz[MOST_CPUS]);

/* One object of thermal zones, "number:type" to thousandths of a degree Celsius. */
void device_temperatures(struct text *out, const char *name);

/* Ticks that a hypervisor kept from all CPUs since boot. */
long long device_steal_ticks(void);

/* Memory of this process in kB: "VmRSS:" or "VmHWM:". */
long long process_memory_kb(const char *what);

/* One object: what bears on measuring now. The difference of two tells what went on between. */
void device_conditions(struct text *out, const char *name);

/* The CPUs that this process may run on, before the first `affinity_set`. */
void affinity_remember(void);
bool affinity_set(const struct job *job, char *error, size_t size);
void affinity_write(struct text *out, const char *name);

#endif
