/* Times .tflite models through LiteRT's C library. Speaks protocol 1 of profilers/README.md.

   One process reads the plan and watches; a second one, forked from it, does the jobs in order. A
   job that crashes the runtime therefore costs one answer: the watcher says in which stage it
   happened and starts another worker for the jobs behind it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "answer.h"
#include "device.h"
#include "energy.h"
#include "gpu.h"
#include "hearing.h"
#include "json.h"
#include "litert.h"
#include "plan.h"
#include "sha256.h"

#define PROTOCOL 1
#define VERSION "1"
#define LARGEST_PLAN (64u << 20)

enum { EXIT_USAGE = 2, EXIT_LIBRARY = 3, EXIT_OUTPUT = 4, EXIT_SYSTEM = 5 };

static int replies; /* standard output; what a library prints goes to standard error */

struct options {
    const char *plan, *library, *runtime_version;
    const char *gpu, *adapter;
    int op_profile_runs;
};

/* Shared between the watcher and its workers. */
struct progress {
    size_t next; /* line of the plan that is to be answered */
    long long jobs;
    bool again; /* the worker ended by itself, for another one to go on */
    struct fault fault;
};

struct line {
    const char *start;
    size_t length;
};

static void say(struct text *reply)
{
    text_add(reply, "\n", 1);
    for (size_t written = 0; written < reply->length;) {
        ssize_t count = write(replies, reply->data + written, reply->length - written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            fprintf(stderr, "agent: the answers must be written whole, but: %s\n", strerror(errno));
            _Exit(EXIT_OUTPUT);
        }
        written += (size_t)count;
    }
    text_free(reply);
}

static void say_error(const char *job, const char *stage, const char *message)
{
    struct text reply = {0};
    json_open(&reply, NULL, '{');
    json_string(&reply, "job", job);
    json_string(&reply, "error", message);
    json_string(&reply, "stage", stage);
    json_close(&reply, '}');
    say(&reply);
}

static void say_hello(const struct options *options, const struct gpus *gpus)
{
    struct text reply = {0};
    char hex[65];
    json_open(&reply, NULL, '{');
    json_open(&reply, "hello", '{');
    json_number(&reply, "protocol", PROTOCOL);
    json_string(&reply, "agent", "litert");
    json_string(&reply, "agent_version", VERSION);
    json_string(&reply, "runtime", "litert");
    json_string(&reply, "runtime_version", options->runtime_version);
    json_string(&reply, "library_sha256", sha256_file(options->library, hex) ? hex : NULL);
    if (options->gpu)
        gpus_write(&reply, gpus);
    device_describe(&reply);
    energy_describe(&reply, "energy");
    device_conditions(&reply, "conditions");
    json_close(&reply, '}');
    json_close(&reply, '}');
    say(&reply);
}

static void say_bye(long long jobs)
{
    struct text reply = {0};
    json_open(&reply, NULL, '{');
    json_open(&reply, "bye", '{');
    json_number(&reply, "jobs", jobs);
    device_conditions(&reply, "conditions");
    json_close(&reply, '}');
    json_close(&reply, '}');
    say(&reply);
}

/* A GPU that failed fails in all that this process does later. */
static bool may_go_on(const struct job *job, const struct fault *fault)
{
    bool began = strcmp(fault->stage, "plan") != 0 && strcmp(fault->stage, "load") != 0;
    return !began || !job->processor || strcmp(job->processor, "gpu") != 0;
}

/* Answers one line; false where another process should do those behind it. */
static bool answer(const struct line *line, const struct options *options, const struct gpus *gpus,
                   struct fault *fault)
{
    struct text reply = {0};
    struct job job;
    fault->stage = "plan";
    bool done = job_parse(&job, line->start, line->length, fault->message, sizeof fault->message);
    if (done) {
        json_open(&reply, NULL, '{');
        json_string(&reply, "job", job.name);
        done = answer_job(&job, gpus, options->op_profile_runs, &reply, fault);
        json_close(&reply, '}');
    }
    if (done)
        say(&reply);
    else
        say_error(job.name, fault->stage, fault->message);
    bool go_on = done || may_go_on(&job, fault);
    text_free(&reply);
    job_free(&job);
    return go_on;
}

/* The worker: all lines from progress->next on. */
static void work(const struct line *lines, size_t count, const struct options *options, const struct gpus *gpus,
                 struct progress *progress)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!progress->again && progress->next < count) {
        progress->again = !answer(&lines[progress->next], options, gpus, &progress->fault);
        progress->next++;
        progress->jobs++;
    }
}

/* The answer to the job that its worker did not survive. */
static void bury(const struct line *line, const struct progress *progress, int status)
{
    struct job job;
    char message[160], ignored[160];
    job_parse(&job, line->start, line->length, ignored, sizeof ignored);
    if (WIFSIGNALED(status))
        snprintf(message, sizeof message, "the runtime was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(message, sizeof message, "the runtime ended the process with status %d", WEXITSTATUS(status));
    say_error(job.name, progress->fault.stage, message);
    job_free(&job);
}

static int watch(const struct line *lines, size_t count, const struct options *options, const struct gpus *gpus)
{
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        fprintf(stderr, "agent: no shared memory: %s\n", strerror(errno));
        return EXIT_SYSTEM;
    }
    while (progress->next < count) {
        int status = 0;
        pid_t worker = fork();
        if (worker == 0) {
            work(lines, count, options, gpus, progress);
            _Exit(0);
        }
        while (worker > 0 && waitpid(worker, &status, 0) < 0 && errno == EINTR)
            continue;
        if (worker < 0) {
            fprintf(stderr, "agent: no second process: %s\n", strerror(errno));
            return EXIT_SYSTEM;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OUTPUT)
            return EXIT_OUTPUT;
        hearing_pass_on();
        if (progress->again) {
            progress->again = false;
        } else if (progress->next < count) {
            bury(&lines[progress->next++], progress, status);
            progress->jobs++;
        }
    }
    say_bye(progress->jobs);
    return 0;
}

static bool read_plan(const char *path, struct text *plan)
{
    char buffer[1 << 16];
    int file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = file < 0 ? -1 : 1;
    while (count > 0 && plan->length <= LARGEST_PLAN && (count = read(file, buffer, sizeof buffer)) > 0)
        text_add(plan, buffer, (size_t)count);
    if (count < 0)
        fprintf(stderr, "agent: the plan must be readable, but %s: %s\n", path, strerror(errno));
    else if (plan->length > LARGEST_PLAN)
        fprintf(stderr, "agent: the plan must be smaller than %u bytes, but is not\n", LARGEST_PLAN);
    return count >= 0 && plan->length <= LARGEST_PLAN;
}

/* Lines that hold more than white space. */
static size_t split_lines(const struct text *plan, struct line **lines)
{
    size_t count = 0;
    *lines = NULL;
    for (size_t start = 0; start < plan->length;) {
        const char *at = plan->data + start;
        const char *newline = memchr(at, '\n', plan->length - start);
        size_t length = newline ? (size_t)(newline - at) : plan->length - start, blank = 0;
        while (blank < length && memchr(" \t\r", at[blank], 3))
            blank++;
        if (blank < length) {
            *lines = checked_realloc(*lines, count + 1, sizeof **lines);
            (*lines)[count++] = (struct line){at, length};
        }
        start += length + 1;
    }
    return count;
}

static int usage(const char *problem)
{
    fprintf(stderr,
            "agent: %s\n"
            "usage: agent --plan FILE|- [--library libLiteRt.so] [--runtime-version TEXT] [--op-profile RUNS]\n"
            "             [--gpu FOLDER [--adapter NAME]]\n",
            problem);
    return EXIT_USAGE;
}

static int parse_options(int count, char **words, struct options *options)
{
    *options = (struct options){.library = "libLiteRt.so"};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[++i] : NULL;
        char *end = NULL;
        if (!value)
            return usage("each option needs a value");
        if (strcmp(word, "--plan") == 0)
            options->plan = value;
        else if (strcmp(word, "--library") == 0)
            options->library = value;
        else if (strcmp(word, "--runtime-version") == 0)
            options->runtime_version = value;
        else if (strcmp(word, "--gpu") == 0)
            options->gpu = value;
        else if (strcmp(word, "--adapter") == 0)
            options->adapter = value;
        else if (strcmp(word, "--op-profile") == 0) {
            long runs = strtol(value, &end, 10);
            if (end == value || *end || runs < 1 || runs > 1000)
                return usage("--op-profile must be from 1 to 1000 runs");
            options->op_profile_runs = (int)runs;
        } else
            return usage("unknown option");
    }
    return options->plan ? 0 : usage("--plan is needed");
}

/* Which GPU is to be used, where the agent is to use any: `gpu` is where its accelerator's library is. */
static void prepare_gpu(const struct options *options, struct gpus *gpus)
{
    if (!options->gpu) {
        snprintf(gpus->problem, sizeof gpus->problem, "this agent was started for the CPU alone");
        return;
    }
    gpus_find(gpus, options->adapter);
    hearing_prepare();
    if (gpus->chosen)
        litert_use_gpu(options->gpu, gpus->chosen->name);
}

/* A loader or library that breaks a rule of the system dies here; the host reads what is said. */
static void on_fatal_signal(int number)
{
    static const char message[] = "agent: killed by a signal while loading the library\n";
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
        _Exit(EXIT_LIBRARY);
    signal(number, SIG_DFL);
    raise(number);
}

static void on_fatal_signals(void (*handler)(int))
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], handler);
}

int main(int argc, char **argv)
{
    struct options options;
    struct text plan = {0};
    struct gpus gpus = {0};
    struct line *lines;
    struct fault fault = {0};
    int wrong = parse_options(argc, argv, &options);
    if (wrong)
        return wrong;
    if (!read_plan(options.plan, &plan))
        return EXIT_USAGE;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is told by write() */
    replies = dup(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    on_fatal_signals(on_fatal_signal);
    if (!litert_load(options.library, &fault)) {
        fprintf(stderr, "agent: the library must load, but: %s\n", fault.message);
        return EXIT_LIBRARY;
    }
    on_fatal_signals(SIG_DFL);
    affinity_remember();
    prepare_gpu(&options, &gpus);
    say_hello(&options, &gpus);
    size_t count = split_lines(&plan, &lines);
    int status = watch(lines, count, &options, &gpus);
    free(lines);
    text_free(&plan);
    return status;
}
