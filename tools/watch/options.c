/* options.c: see options.h. */
#include "options.h"

#include <errno.h>
#include <segue/watch.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/message.h"
#include "tools/support/verb.h"
#include "tools/watch/agent/shared.h"
#include "tools/watch/names/chain.h"
#include "tools/watch/names/target.h"

#define VERB "watch"
/* Of a line, if it is not said how many. */
#define CALLERS 16

static int read_limit(const char *text, uint64_t *limit)
{
    char *end;
    errno = 0;
    *limit = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || *limit == 0)
        return misuse(VERB, "--limit wants a number of accesses from 1 on, not '%s'", text);
    return EXIT_DONE;
}

static int read_process(const char *text, pid_t *process)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    *process = (pid_t)number;
    if (*text < '0' || *text > '9' || *end || errno || number <= 0 || number != *process)
        return misuse(VERB, "--pid wants the number of a process, not '%s'", text);
    return EXIT_DONE;
}

static int read_condition(const char *text, struct condition *condition)
{
    if (condition_read(text, condition))
        return EXIT_DONE;
    return misuse(VERB, "--if wants a comparison such as 'new > 100' or 'old != new', not '%s'", text);
}

static int read_callers(const char *text, unsigned *callers)
{
    char *end;
    long number = text ? strtol(text, &end, 10) : CALLERS;
    if (text && (*text < '0' || *text > '9' || *end || number < 1 || number > (long)CHAIN_MOST))
        return misuse(VERB, "--backtrace wants a number of callers from 1 to %u, not '%s'", CHAIN_MOST, text);
    *callers = (unsigned)number;
    return EXIT_DONE;
}

static int read_option(int option, struct options *options)
{
    switch (option) {
    case WATCH_WRITE:
        options->flags |= SEGUE_WATCH_WRITE;
        return EXIT_DONE;
    case WATCH_READ:
        options->flags |= SEGUE_WATCH_READ;
        return EXIT_DONE;
    case WATCH_CHANGE:
        options->flags |= SEGUE_WATCH_CHANGE;
        return EXIT_DONE;
    case WATCH_IF:
        return read_condition(optarg, &options->condition);
    case WATCH_THREAD:
        options->thread = optarg;
        return EXIT_DONE;
    case WATCH_COUNT:
        options->counts = true;
        return EXIT_DONE;
    case WATCH_FOLLOW:
        options->follows = true;
        return EXIT_DONE;
    case WATCH_LIMIT:
        return read_limit(optarg, &options->limit);
    case WATCH_PID:
        return read_process(optarg, &options->process);
    case WATCH_BACKTRACE:
        return read_callers(optarg, &options->callers);
    case WATCH_STOP:
        options->stops = true;
        return EXIT_DONE;
    case WATCH_HEAT:
        options->heat = optarg;
        return EXIT_DONE;
    case WATCH_JSON:
        options->is_json = true;
        return EXIT_DONE;
    default:
        options->output = optarg;
        return EXIT_DONE;
    }
}

/* TARGET... -- PROGRAM [ARGUMENT...]; with --pid, TARGET... alone */
static int read_operands(int argument_count, char **arguments, struct options *options)
{
    options->targets = arguments;
    if (optind > 1 && strcmp(arguments[-1], "--") == 0)
        argument_count = 0;
    while ((int)options->target_count < argument_count && strcmp(arguments[options->target_count], "--") != 0)
        options->target_count++;
    if (options->target_count == 0)
        return misuse(VERB, "a TARGET is missing, such as the name of a variable");
    if (options->process && (int)options->target_count < argument_count)
        return misuse(VERB, "a program and --pid exclude each other: only targets follow");
    if (!options->process && (int)options->target_count + 1 >= argument_count)
        return misuse(VERB, "a program is missing: -- PROGRAM [ARGUMENT...], behind the targets");
    for (size_t i = 0; i < options->target_count; i++)
        if (arguments[i][0] == '-')
            return misuse(VERB, "'%s' is behind a target: options come first, and -- ends the targets", arguments[i]);
    if (options->target_count > SHARED_RANGES)
        return misuse(VERB, "there are more than %u targets", SHARED_RANGES);
    for (size_t i = 0; i < options->target_count; i++)
        options->has_heap |= target_is_heap(arguments[i]);
    if (options->has_heap && options->process)
        return misuse(VERB, "heap:SIZE and heap@FUNCTION exclude --pid: blocks that the process has already are not "
                            "known; start the program by segue watch");
    if (options->has_heap && options->heat)
        return misuse(VERB, "heap:SIZE and heap@FUNCTION exclude --heat: such blocks have no place in a map");
    options->program = options->process ? NULL : arguments + options->target_count + 1;
    return EXIT_DONE;
}

int options_read(int argument_count, char **arguments, struct options *options)
{
    struct command_line line;
    int found, code = EXIT_DONE;
    *options = (struct options){.limit = UINT64_MAX};
    command_line_begin(&line, &watch_words, argument_count, arguments);
    while (code == EXIT_DONE && (found = command_line_next(&line)) != COMMAND_LINE_END)
        code = found == COMMAND_LINE_WRONG ? misuse_of_line(&line) : read_option(found, options);
    if (!options->flags)
        options->flags = SEGUE_WATCH_WRITE;
    if (options->counts)
        options->flags |= SEGUE_WATCH_COUNT;
    return code == EXIT_DONE ? read_operands(argument_count - optind, arguments + optind, options) : code;
}
