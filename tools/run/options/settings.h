/* settings.h: the settings from the command line. Read-only once the program runs. */
#ifndef SEGUE_RUN_SETTINGS_H
#define SEGUE_RUN_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

enum statistics {
    STATISTICS_NONE,
    STATISTICS_TEXT,
    STATISTICS_JSON,
};

/* When the fs: accesses of a module are rewritten. */
enum rewriting {
    /* Each at its own fault, until there have been many: then all the remaining ones. */
    REWRITE_WHEN_MANY,
    /* All of them when its code is mapped, at the latest at the first fault. */
    REWRITE_EAGERLY,
    /* Each at its own fault. */
    REWRITE_LAZILY,
};

/* Making a detour costs some hundred microseconds, a trap 2.7. */
#define CALLS_MET 128

struct settings {
    enum statistics statistics;
    enum rewriting rewriting;
    /* How often a system call is trapped before its site gets a detour; 0: it is always trapped. */
    unsigned calls_met;
    bool trace;
    /* Programs that the program executes run natively. */
    bool no_follow;
    /* A program under segue run, not the user, executed this host. */
    bool is_inherited;
    /* Which forced signals, by their places (actions.h), the program that was here before blocked and ignored. */
    unsigned inherited_blocked, inherited_ignored;
    /* The process that prints the figures; its children print none. */
    int process;
    /* The program's mask, which is put in force when it begins. */
    uint64_t inherited_mask;
    /* The code of its dynamic loader; 0 without one. */
    uint64_t loader_start, loader_end;
    /* The program's own file: the target of /proc/self/exe, and a path by which it can be opened, which differs if the
     * file has no name (any more). Empty strings before it is loaded. */
    char real_path[4096], own_path[4096];
};

extern struct settings settings;

#endif
