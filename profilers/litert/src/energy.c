#include "energy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device.h"

#define MOST_ZONES 64
#define MOST_PACKAGES 8
#define WATCHED 20                /* steps that a counter is watched for */
#define WATCH_NS 2000000000LL     /* and how long at most */
#define IDLE_WINDOWS 5            /* pauses */
#define IDLE_STEPS 10             /* of the counter in each */
#define IDLE_NS 20000000LL        /* and how long each is at least */
#define LONGEST_NS 10000000000LL  /* samples are not made longer than this together for a counter's sake */

static struct {
    char file[MOST_PACKAGES][256];
    long long most[MOST_PACKAGES], last[MOST_PACKAGES], total;
    size_t count;
    char source[160];
    bool known, ready;
    long long period_ns, resolution_uj, idle_uw[IDLE_WINDOWS];
} counter;

static bool read_counter(size_t package, long long *value, char *error, size_t size)
{
    *value = read_number(counter.file[package]);
    if (*value != UNKNOWN)
        return true;
    snprintf(error, size, "%s cannot be read", counter.file[package]);
    return false;
}

static bool find_packages(char *error, size_t size)
{
    const char *root = getenv("HWNAS_POWERCAP");
    root = root ? root : "/sys/class/powercap";
    char path[256], name[64];
    for (int zone = 0; zone < MOST_ZONES && counter.count < MOST_PACKAGES && !counter.known; zone++) {
        snprintf(path, sizeof path, "%s/intel-rapl:%d/name", root, zone);
        if (!read_file(path, name, sizeof name) || strncmp(name, "package", 7) != 0)
            continue;
        size_t length = strlen(counter.source), i = counter.count++;
        snprintf(counter.source + length, sizeof counter.source - length, "%s%s", length ? "+" : "rapl:", name);
        snprintf(path, sizeof path, "%s/intel-rapl:%d/max_energy_range_uj", root, zone);
        counter.most[i] = read_number(path);
        snprintf(counter.file[i], sizeof counter.file[i], "%s/intel-rapl:%d/energy_uj", root, zone);
    }
    counter.known = true;
    if (!counter.count)
        snprintf(error, size, "%s has no intel-rapl:* that is a package of a processor", root);
    for (size_t i = 0; i < counter.count; i++)
        if (!read_counter(i, &counter.last[i], error, size))
            return false;
    return counter.count > 0;
}

/* Since this process began; a counter that has begun anew since the last reading is counted on. */
static bool read_total(long long *uj, char *error, size_t size)
{
    for (size_t i = 0; i < counter.count; i++) {
        long long before = counter.last[i];
        if (!read_counter(i, &counter.last[i], error, size))
            return false;
        if (counter.last[i] < before && counter.most[i] <= 0) {
            snprintf(error, size, "%s began anew, and does not say at what", counter.file[i]);
            return false;
        }
        counter.total += counter.last[i] - before + (counter.last[i] < before ? counter.most[i] : 0);
    }
    *uj = counter.total;
    return true;
}

/* From step to step of the first counter, and its smallest step; zeros where it hardly steps. */
static bool watch(char *error, size_t size)
{
    long long began = now_ns(), now = began, first = 0, last_ns = 0, last, value, smallest = 0;
    int steps = 0;
    if (!read_counter(0, &last, error, size))
        return false;
    while (steps < WATCHED && now - began < WATCH_NS) {
        if (!read_counter(0, &value, error, size))
            return false;
        now = now_ns();
        if (value == last)
            continue;
        smallest = value > last && (!smallest || value - last < smallest) ? value - last : smallest;
        first = steps++ ? first : now;
        last_ns = now;
        last = value;
    }
    bool known = steps >= 3 && smallest;
    counter.period_ns = known ? (last_ns - first) / (steps - 1) : 0;
    counter.resolution_uj = known ? smallest : 0;
    return true;
}

static bool rest(char *error, size_t size)
{
    long long pause_ns = counter.period_ns * IDLE_STEPS > IDLE_NS ? counter.period_ns * IDLE_STEPS : IDLE_NS;
    struct timespec pause = {.tv_sec = pause_ns / 1000000000LL, .tv_nsec = pause_ns % 1000000000LL};
    for (int i = 0; i < IDLE_WINDOWS; i++) {
        struct energy window;
        if (!energy_begin(&window, error, size) || nanosleep(&pause, NULL) != 0 ||
            !energy_end(&window, error, size))
            return false;
        counter.idle_uw[i] = (long long)((double)window.uj * 1e9 / (double)window.elapsed_ns);
    }
    return true;
}

bool energy_ready(char *error, size_t size)
{
    if (counter.ready)
        return true;
    counter.ready = find_packages(error, size) && watch(error, size) && (!counter.period_ns || rest(error, size));
    return counter.ready;
}

void energy_describe(struct text *out, const char *name)
{
    char missing[400];
    bool found = find_packages(missing, sizeof missing);
    json_open(out, name, '{');
    json_open(out, "cpu", '{');
    json_string(out, found ? "source" : "missing", found ? counter.source : missing);
    json_close(out, '}');
    json_close(out, '}');
}

long long energy_span_ns(long long steps)
{
    if (!counter.period_ns || steps > LONGEST_NS / counter.period_ns)
        return counter.period_ns ? LONGEST_NS : 0;
    return steps * counter.period_ns;
}

bool energy_begin(struct energy *energy, char *error, size_t size)
{
    energy->start_ns = now_ns();
    return read_total(&energy->start_uj, error, size);
}

bool energy_end(struct energy *energy, char *error, size_t size)
{
    energy->elapsed_ns = now_ns() - energy->start_ns;
    if (!read_total(&energy->uj, error, size))
        return false;
    energy->uj -= energy->start_uj;
    long long periods = counter.period_ns ? energy->elapsed_ns / counter.period_ns : 0;
    long long rises = counter.resolution_uj ? energy->uj / counter.resolution_uj : 0;
    energy->steps = periods < rises ? periods : rises;
    return true;
}

void energy_write(struct text *out, const char *name, const struct energy *energy, long long inferences)
{
    json_open(out, name, '{');
    json_string(out, "source", counter.source);
    json_number(out, "uj", energy->uj);
    json_number(out, "elapsed_ns", energy->elapsed_ns);
    json_number(out, "inferences", inferences);
    json_number(out, "steps", energy->steps);
    json_number(out, "resolution_uj", counter.resolution_uj);
    json_numbers(out, "idle_uw", counter.idle_uw, counter.period_ns ? IDLE_WINDOWS : 0);
    json_close(out, '}');
}
