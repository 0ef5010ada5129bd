/* verb.c: segue watch. The program begins with libsegue-watch.so in it, and waits; the command finds the targets in its
 * memory, lets it go on, and reports what it puts into the queue. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "options.h"
#include "program.h"
#include "report.h"
#include "tools/support/message.h"
#include "tools/support/verb.h"

#define VERB "watch"

static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

static bool find_targets(const struct options *options, const struct code *code, struct target *targets)
{
    bool all = true;
    for (size_t i = 0; i < options->target_count; i++)
        all = target_find(code, options->targets[i], &targets[i]) && all;
    return all;
}

static void give_targets(const struct options *options, struct program *program, const struct target *targets)
{
    for (size_t i = 0; i < options->target_count; i++)
        program->shared->ranges[i] =
            (struct shared_range){.address = targets[i].address, .size = targets[i].size, .flags = options->flags};
    program->shared->range_count = (uint32_t)options->target_count;
}

/* Until the program has ended, or is watched no more, and all is taken. */
static void report_all(struct program *program, struct report *report)
{
    static const struct timespec moment = {.tv_nsec = 500000};
    struct watch_queue *queue = &program->shared->queue;
    struct segue_watch_record record;
    for (bool has_ended = false; !has_ended;) {
        has_ended = program_has_ended(program);
        while (queue_take(queue, &record))
            if (!queue->is_closed && !report_access(report, &record))
                __atomic_store_n(&queue->is_closed, 1, __ATOMIC_RELAXED);
        if (program->attached && (is_interrupted || queue->is_closed))
            has_ended = program_detach(program) || has_ended;
        if (!has_ended)
            nanosleep(&moment, NULL);
    }
}

static bool begin_code(const struct options *options, struct code *code, pid_t process, struct target *targets)
{
    if (code_begin(code, process))
        return find_targets(options, code, targets);
    complain(VERB, "the memory of process %d cannot be looked at: the system lets no process look at another (ptrace)",
             (int)process);
    return false;
}

/* The program waits, and its code has not begun. */
static int watch(const struct options *options, struct program *program, struct code *code, struct target *targets)
{
    if (!begin_code(options, code, program->process, targets))
        return EXIT_FAILED;
    give_targets(options, program, targets);
    FILE *to = report_open(options);
    if (!to)
        return EXIT_FAILED;
    if (!program_go(program)) {
        if (to != stderr)
            fclose(to);
        return EXIT_FAILED;
    }
    struct report *report = report_begin(options, to, program, code, targets);
    report_all(program, report);
    /* Their instructions are looked up in files. */
    return report_end(report) ? program_leave(program) : EXIT_FAILED;
}

/* The program runs. */
static int watch_running(const struct options *options, struct code *code, struct target *targets)
{
    struct program program;
    if (!program_check(options->process) || !begin_code(options, code, options->process, targets))
        return EXIT_FAILED;
    FILE *to = report_open(options);
    if (!to)
        return EXIT_FAILED;
    const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        signal(ends[i], interrupt);
    bool goes = program_attach(&program, code);
    if (goes) {
        give_targets(options, &program, targets);
        goes = program_go(&program);
    }
    if (!goes) {
        if (to != stderr)
            fclose(to);
        return EXIT_FAILED;
    }
    struct report *report = report_begin(options, to, &program, code, targets);
    report_all(&program, report);
    const char *left = program_left(&program);
    if (left)
        complain(VERB, "%s is not as before: %s", program.name, left);
    return report_end(report) && !left ? EXIT_DONE : EXIT_FAILED;
}

static int watch_started(const struct options *options, struct code *code, struct target *targets)
{
    struct program program;
    int result;
    if (!program_begin(&program, options->program, &result))
        return result;
    result = watch(options, &program, code, targets);
    if (!program.has_ended)
        program_stop(&program);
    return result;
}

static int run_watch(int argument_count, char **arguments)
{
    struct options options;
    struct code code = {.dwfl = NULL};
    int result = options_read(argument_count, arguments, &options);
    if (result != EXIT_DONE)
        return result;
    struct target *targets = calloc(options.target_count, sizeof *targets);
    if (!targets)
        abort();
    result = (options.process ? watch_running : watch_started)(&options, &code, targets);
    code_end(&code);
    free(targets);
    return result;
}

const struct verb watch_verb = {&watch_words, run_watch};
