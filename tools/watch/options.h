/* options.h: what segue watch is asked for. */
#ifndef SEGUE_TOOLS_WATCH_OPTIONS_H
#define SEGUE_TOOLS_WATCH_OPTIONS_H

#include <sys/types.h>

#include "value.h"

struct options {
    /* enum segue_watch_flags of all targets. */
    uint32_t flags;
    struct condition condition;
    /* Name or number; NULL: all. */
    const char *thread;
    bool counts, follows, is_json;
    /* The most accesses that are reported. */
    uint64_t limit;
    const char *output;
    /* The most callers that a line has; 0: none. */
    unsigned callers;
    bool stops;
    /* Where to draw a map, in place of lines; or NULL. */
    const char *heat;
    /* The targets as they were typed, and the program with its arguments, which ends with NULL. */
    char **targets;
    size_t target_count;
    /* One of them is blocks of the heap. */
    bool has_heap;
    char **program;
    /* In place of a program: one that runs; or 0. */
    pid_t process;
};

/* Returns an enum exit_code: EXIT_DONE, or EXIT_USAGE and a message. */
int options_read(int argument_count, char **arguments, struct options *options);

#endif
