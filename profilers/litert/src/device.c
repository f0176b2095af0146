#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CPU "/sys/devices/system/cpu/"
#define MOST_ZONES 128

static cpu_set_t allowed;

long long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

bool read_file(const char *path, char *buffer, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    buffer[0] = 0;
    if (file < 0)
        return false;
    ssize_t count = read(file, buffer, size - 1);
    close(file);
    if (count < 0)
        return false;
    while (count > 0 && strchr(" \n\t", buffer[count - 1]))
        count--;
    buffer[count] = 0;
    return true;
}

long long read_number(const char *path)
{
    char buffer[64], *end;
    if (!read_file(path, buffer, sizeof buffer))
        return UNKNOWN;
    long long value = strtoll(buffer, &end, 10);
    return end == buffer || *end ? UNKNOWN : value;
}

static long long cpu_number(size_t cpu, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, CPU "cpu%zu/%s", cpu, name);
    return read_number(path);
}

static void cpu_string(struct text *out, size_t cpu, const char *name, const char *file)
{
    char path[128], buffer[128];
    snprintf(path, sizeof path, CPU "cpu%zu/%s", cpu, file);
    json_string(out, name, read_file(path, buffer, sizeof buffer) ? buffer : NULL);
}

/* Numbers of a list such as "0-3,6"; those that do not fit are left out. */
static size_t cpu_list(const char *path, long long numbers[MOST_CPUS])
{
    char buffer[1024], *at = buffer;
    size_t count = 0;
    read_file(path, buffer, sizeof buffer);
    while (*at >= '0' && *at <= '9') {
        long first = strtol(at, &at, 10), last = *at == '-' ? strtol(at + 1, &at, 10) : first;
        for (; first <= last && first < MOST_CPUS && count < MOST_CPUS; first++)
            numbers[count++] = first;
        at += *at == ',';
    }
    return count;
}

static size_t cpu_count(void)
{
    long long numbers[MOST_CPUS];
    size_t count = cpu_list(CPU "possible", numbers);
    return count ? (size_t)numbers[count - 1] + 1 : 0;
}

/* The processor's name on x86, the board's on Arm: the first line that has one. */
static void cpu_model(struct text *out)
{
    static char buffer[1 << 16];
    static const char *const names[] = {"model name", "Hardware", "Model"};
    read_file("/proc/cpuinfo", buffer, sizeof buffer);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        for (char *line = buffer; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
            size_t past = strspn(line + (strncmp(line, names[i], length) == 0 ? length : 0), "\t ");
            char *value = line + length + past;
            if (strncmp(line, names[i], length) != 0 || *value != ':')
                continue;
            value += strspn(value, ": ");
            value[strcspn(value, "\n")] = 0;
            json_string(out, "cpu_model", value);
            return;
        }
    }
    json_string(out, "cpu_model", NULL);
}

static void describe_cpu(struct text *out, size_t cpu)
{
    json_open(out, NULL, '{');
    json_number(out, "cpu", (long long)cpu);
    json_number(out, "capacity", cpu_number(cpu, "cpu_capacity"));
    json_number(out, "hw_max_khz", cpu_number(cpu, "cpufreq/cpuinfo_max_freq"));
    json_number(out, "min_khz", cpu_number(cpu, "cpufreq/scaling_min_freq"));
    cpu_string(out, cpu, "midr", "regs/identification/midr_el1");
    json_close(out, '}');
}

void device_describe(struct text *out)
{
    struct utsname system;
    long long numbers[MOST_CPUS];
    if (uname(&system) == 0) {
        json_string(out, "machine", system.machine);
        json_string(out, "kernel", system.release);
    }
    cpu_model(out);
    json_numbers(out, "cpus_online", numbers, cpu_list(CPU "online", numbers));
    json_number(out, "page_size", (long long)getauxval(AT_PAGESZ));
    json_number(out, "hwcap", (long long)getauxval(AT_HWCAP));
    json_number(out, "hwcap2", (long long)getauxval(AT_HWCAP2));
    json_open(out, "cpus", '[');
    for (size_t cpu = 0, count = cpu_count(); cpu < count; cpu++)
        describe_cpu(out, cpu);
    json_close(out, ']');
}

size_t device_clocks(long long khz[MOST_CPUS])
{
    static size_t count;
    count = count ? count : cpu_count();
    for (size_t cpu = 0; cpu < count; cpu++)
        khz[cpu] = cpu_number(cpu, "cpufreq/scaling_cur_freq");
    return count;
}

void device_temperatures(struct text *out, const char *name)
{
    json_open(out, name, '{');
    for (int zone = 0; zone < MOST_ZONES; zone++) {
        char path[64], type[64], label[80];
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", zone);
        long long value = read_number(path);
        if (value == UNKNOWN)
            continue; /* zones may have gaps, and many are not for everybody to read */
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/type", zone);
        snprintf(label, sizeof label, "%d:%s", zone, read_file(path, type, sizeof type) ? type : "");
        json_number(out, label, value);
    }
    json_close(out, '}');
}

/* Ticks of all CPUs since boot: user, nice, system, idle, iowait, irq, softirq, steal. */
static bool read_ticks(long long ticks[8])
{
    char buffer[512];
    return read_file("/proc/stat", buffer, sizeof buffer) &&
           sscanf(buffer, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &ticks[0], &ticks[1], &ticks[2],
                  &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) == 8;
}

long long device_steal_ticks(void)
{
    long long ticks[8];
    return read_ticks(ticks) ? ticks[7] : UNKNOWN;
}

static void write_governors(struct text *out, const char *name)
{
    json_open(out, name, '[');
    for (size_t cpu = 0, count = cpu_count(); cpu < count; cpu++)
        cpu_string(out, cpu, NULL, "cpufreq/scaling_governor");
    json_close(out, ']');
}

static void write_clocks(struct text *out, const char *name, const char *file)
{
    long long khz[MOST_CPUS];
    size_t count = cpu_count();
    for (size_t cpu = 0; cpu < count; cpu++)
        khz[cpu] = cpu_number(cpu, file);
    json_numbers(out, name, khz, count);
}

static void write_load(struct text *out, const char *name)
{
    char buffer[128];
    double load;
    bool known = read_file("/proc/loadavg", buffer, sizeof buffer) && sscanf(buffer, "%lf", &load) == 1;
    json_hundredths(out, name, known ? (long long)(load * 100 + 0.5) : UNKNOWN);
}

static long long own_cpu_ns(void)
{
    long long sum = 0;
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (size_t i = 0; i < 2; i++) {
        struct rusage usage;
        if (getrusage(whose[i], &usage) == 0)
            sum += 1000000000LL * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   1000LL * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
    return sum;
}

void device_conditions(struct text *out, const char *name)
{
    long long ticks[8];
    bool known = read_ticks(ticks);
    json_open(out, name, '{');
    json_number(out, "monotonic_ns", now_ns());
    json_number(out, "tick_ns", 1000000000LL / sysconf(_SC_CLK_TCK));
    json_number(out, "busy_ticks", known ? ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] : UNKNOWN);
    json_number(out, "idle_ticks", known ? ticks[3] + ticks[4] : UNKNOWN);
    json_number(out, "steal_ticks", known ? ticks[7] : UNKNOWN);
    json_number(out, "own_cpu_ns", own_cpu_ns());
    write_load(out, "load_1min");
    affinity_write(out, "affinity");
    write_governors(out, "governor");
    write_clocks(out, "freq_khz", "cpufreq/scaling_cur_freq");
    write_clocks(out, "max_khz", "cpufreq/scaling_max_freq");
    device_temperatures(out, "thermal_mc");
    json_close(out, '}');
}

long long process_memory_kb(const char *what)
{
    char buffer[8192];
    if (!read_file("/proc/self/status", buffer, sizeof buffer))
        return UNKNOWN;
    const char *found = strstr(buffer, what);
    return found ? strtoll(found + strlen(what), NULL, 10) : UNKNOWN;
}

void affinity_remember(void)
{
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        for (size_t cpu = 0; cpu < MOST_CPUS; cpu++)
            CPU_SET(cpu, &allowed);
}

bool affinity_set(const struct job *job, char *error, size_t size)
{
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    for (size_t i = 0; i < job->cpu_count; i++)
        CPU_SET((size_t)job->cpus[i], &wanted);
    if (sched_setaffinity(0, sizeof wanted, job->pinned ? &wanted : &allowed) == 0)
        return true;
    snprintf(error, size, "cpus must be online and allowed, but the kernel says: %s", strerror(errno));
    return false;
}

void affinity_write(struct text *out, const char *name)
{
    cpu_set_t set;
    long long cpus[MOST_CPUS];
    size_t count = 0;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (size_t cpu = 0; cpu < MOST_CPUS; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = (long long)cpu;
    json_numbers(out, name, cpus, count);
}
