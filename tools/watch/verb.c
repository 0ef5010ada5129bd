/* verb.c: segue watch. The program begins with libsegue-watch.so in it, and waits; the command finds the targets in its
 * memory, lets it go on, and reports what it puts into the queue. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "options.h"
#include "platform/threads/look.h"
#include "program.h"
#include "report.h"
#include "tools/support/message.h"
#include "tools/support/room.h"
#include "tools/support/verb.h"
#include "tools/watch/attach/stop.h"
#include "tools/watch/names/chain.h"
#include "tools/watch/names/later.h"
#include "tools/watch/names/mapped.h"

#define VERB "watch"

/* In looks at an empty queue: how often it is asked whether a writer exists, and how long one that has only begun may
 * take. */
#define LOOK_AT_WRITER 50u
#define LONGEST 4000u

struct stuck {
    uint64_t number;
    unsigned times;
};

static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

static bool find_targets(const struct options *options, const struct code *code, struct target *targets)
{
    bool all = true;
    size_t files = 0;
    for (size_t i = 0; i < options->target_count; i++)
        all = (mapped_is(options->targets[i]) ? mapped_find(options->targets[i], &targets[i])
                                              : target_find(code, options->targets[i], &targets[i])) &&
              all;
    for (size_t i = 0; i < options->target_count; i++) {
        files += targets[i].path != NULL;
        if (all && options->heat && !targets[i].size) {
            complain(VERB, "%s: a map (--heat) wants its size: map:PATH+OFFSET:SIZE", targets[i].name);
            all = false;
        }
    }
    if (files > SHARED_FILES)
        complain(VERB, "there are more than %u targets map:PATH", SHARED_FILES);
    return all && files <= SHARED_FILES;
}

/* Where in the list of functions they are from now on. */
static uint32_t give_functions(struct shared *shared, const struct functions *functions)
{
    const uint32_t first = shared->function_count;
    for (size_t i = 0; i < functions->count; i++)
        shared->functions[shared->function_count++] =
            (struct shared_function){functions->parts[i].start, functions->parts[i].end};
    return first;
}

static bool give_heap(const struct options *options, const struct code *code, struct shared *shared,
                      const struct target *targets)
{
    struct functions wrappers = {.count = 0};
    functions_find_new(code, &wrappers);
    size_t all = wrappers.count;
    for (size_t i = 0; i < options->target_count; i++)
        all += targets[i].functions.count;
    if (all > SHARED_FUNCTIONS)
        complain(VERB, "the functions of heap@FUNCTION have more than %u parts in all; ask for fewer",
                 SHARED_FUNCTIONS);
    else
        give_functions(shared, &wrappers);
    shared->wrapper_count = shared->function_count;
    free(wrappers.parts);
    for (size_t i = 0; i < options->target_count && all <= SHARED_FUNCTIONS; i++) {
        const struct target *target = &targets[i];
        if (target->is_heap)
            shared->ranges[i] = (struct shared_range){
                .flags = options->flags,
                .is_heap = true,
                .least = target->least,
                .most = target->most,
                .first_function = give_functions(shared, &target->functions),
                .function_count = (uint32_t)target->functions.count,
            };
    }
    return all <= SHARED_FUNCTIONS;
}

static void give_targets(const struct options *options, const struct code *code, struct program *program,
                         const struct target *targets)
{
    struct functions copied = {.count = 0};
    functions_find_copied(code, &copied);
    if (copied.count)
        program->shared->untouched = (struct shared_function){copied.parts->start, copied.parts->end};
    free(copied.parts);
    for (size_t i = 0; i < options->target_count; i++) {
        const bool is_file = targets[i].path;
        program->shared->ranges[i] = (struct shared_range){
            .address = targets[i].address, .size = is_file ? 0 : targets[i].size, .flags = options->flags};
        if (is_file)
            mapped_give(program->shared, &targets[i], (uint32_t)i);
    }
    program->shared->range_count = (uint32_t)options->target_count;
    program->shared->keeps_stacks = options->callers != 0;
    program->shared->stops = options->stops;
    program->shared->loaded.has_children = options->follows;
}

/* A record that a thread has begun, and that does not come. `stuck` is what was begun when this was called last, and
 * how often in a row. */
static void pass_over_killed(struct watch_queue *queue, struct stuck *stuck)
{
    uint64_t number, writer;
    if (!queue_is_begun(queue, &number, &writer) || number != stuck->number) {
        *stuck = (struct stuck){.number = number};
        return;
    }
    const bool is_gone =
        writer ? stuck->times % LOOK_AT_WRITER == 0 && look_has_ended((int)writer) : stuck->times > LONGEST;
    stuck->times++;
    if (is_gone)
        queue_pass(queue, number);
}

/* The records that are there, and not those that come meanwhile, which may have no end; no more of them once one of
 * them was the last that is wanted. */
static void report_queued(const struct options *options, struct program *program, struct report *report)
{
    struct watch_queue *queue = &program->shared->queue;
    const struct queue_stack *stacks = program->shared->keeps_stacks ? shared_stack(program->shared) : NULL;
    static struct queue_stack stack;
    struct segue_watch_record record;
    struct queue_block block;
    const uint64_t end = __atomic_load_n(&queue->puts, __ATOMIC_ACQUIRE);
    while (queue->takes < end && queue_take_with(queue, &record, &block, stacks, &stack)) {
        bool goes_on = true;
        const bool is_reported =
            !queue->is_closed && report_access(report, &record, &block, stacks ? &stack : NULL, &goes_on);
        if (options->stops && is_reported)
            stop_thread(program->shared, &record, program->name);
        else if (options->stops)
            stop_not(program->shared);
        if (!goes_on)
            __atomic_store_n(&queue->is_closed, 1, __ATOMIC_RELAXED);
    }
}

/* The thread that waits for an answer may have been killed. */
static void let_others_ask(struct shared *shared)
{
    uint32_t asks = __atomic_load_n(&shared->gate.asks, __ATOMIC_ACQUIRE);
    if (asks && look_has_ended((int)asks))
        __atomic_compare_exchange_n(&shared->gate.asks, &asks, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The program has ended: what is behind a record that its thread has begun. Children may go on. */
static void report_rest(const struct options *options, struct program *program, struct report *report)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    struct watch_queue *queue = &program->shared->queue;
    const uint64_t end = __atomic_load_n(&queue->puts, __ATOMIC_ACQUIRE);
    struct stuck stuck = {.times = 0};
    report_queued(options, program, report);
    while (queue->takes < end && (queue->takes != stuck.number || stuck.times <= LONGEST + 1)) {
        pass_over_killed(queue, &stuck);
        nanosleep(&moment, NULL);
        report_queued(options, program, report);
    }
}

/* Until the program has ended, or is watched no more, and all is taken. */
static void report_all(const struct options *options, struct program *program, struct report *report)
{
    const struct timespec moment = {.tv_nsec = options->stops ? 500000 : 1000000};
    struct watch_queue *queue = &program->shared->queue;
    struct stuck stuck = {.times = 0};
    for (bool has_ended = false; !has_ended;) {
        has_ended = program_has_ended(program);
        report_queued(options, program, report);
        if (program->attached && (is_interrupted || queue->is_closed))
            has_ended = program_detach(program) || has_ended;
        pass_over_killed(queue, &stuck);
        if (options->stops)
            let_others_ask(program->shared);
        report_meanwhile(report);
        if (!has_ended)
            nanosleep(&moment, NULL);
    }
    report_rest(options, program, report);
}

static bool begin_code(const struct options *options, struct code *code, pid_t process, struct target *targets)
{
    if (code_begin(code, process)) {
        if (options->callers)
            chain_begin(code);
        return find_targets(options, code, targets);
    }
    complain(VERB, "the memory of process %d cannot be looked at: the system lets no process look at another (ptrace)",
             (int)process);
    return false;
}

/* Until here their accesses were reported. */
static void look_at_children(const struct options *options, struct program *program)
{
    if (options->follows && program->has_ended && program_has_children(program))
        complain(VERB,
                 "%s has ended, and children that it made by fork go on: what they do from now on is not reported; "
                 "keep %s in the foreground, or watch a child by --pid",
                 program->name, program->name);
}

/* The program waits, and its code has not begun. */
static int watch(const struct options *options, struct program *program, struct code *code, struct target *targets)
{
    if (!begin_code(options, code, program->process, targets))
        return EXIT_FAILED;
    give_targets(options, code, program, targets);
    if (options->has_heap && !give_heap(options, code, program->shared, targets))
        return EXIT_FAILED;
    struct report *report = report_open(options);
    if (!report)
        return EXIT_FAILED;
    if (!program_go(program)) {
        report_abandon(report);
        return EXIT_FAILED;
    }
    report_begin(report, program, code, targets);
    report_all(options, program, report);
    mapped_say(program->shared, targets);
    later_say(code, program->name, options->counts || options->has_heap);
    /* Their instructions are looked up in files. */
    const bool is_written = report_end(report);
    look_at_children(options, program);
    return is_written ? program_leave(program) : EXIT_FAILED;
}

/* The program runs. */
static int watch_running(const struct options *options, struct code *code, struct target *targets)
{
    struct program program;
    if (!program_check(options->process) || !begin_code(options, code, options->process, targets))
        return EXIT_FAILED;
    struct report *report = report_open(options);
    if (!report)
        return EXIT_FAILED;
    const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        signal(ends[i], interrupt);
    bool goes = program_attach(&program, code);
    if (goes) {
        give_targets(options, code, &program, targets);
        goes = program_go(&program);
    }
    if (!goes) {
        report_abandon(report);
        return EXIT_FAILED;
    }
    report_begin(report, &program, code, targets);
    report_all(options, &program, report);
    mapped_say(program.shared, targets);
    later_say(code, program.name, options->counts || options->has_heap);
    const char *left = program_left(&program);
    if (left)
        complain(VERB, "%s is not as before: %s", program.name, left);
    const bool is_written = report_end(report);
    look_at_children(options, &program);
    return is_written && !left ? EXIT_DONE : EXIT_FAILED;
}

static int watch_started(const struct options *options, struct code *code, struct target *targets)
{
    struct program program;
    int result;
    if (!program_begin(&program, options->program, options->has_heap, &result))
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
    for (size_t i = 0; i < options.target_count; i++) {
        free(targets[i].shown);
        free(targets[i].path);
        free(targets[i].functions.parts);
    }
    free(targets);
    return result;
}

static int run_with_room(int argument_count, char **arguments)
{
    return with_room(run_watch, argument_count, arguments);
}

const struct verb watch_verb = {&watch_words, run_with_room};
