/* settings.h: what was asked for on the command line. Read only, once the program runs. */
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
    /* Each at its own fault, until there have been many: then all that are left. */
    REWRITE_WHEN_MANY,
    /* All of them when its code is mapped, and at the latest at the first fault. */
    REWRITE_EAGERLY,
    /* Each at its own fault. */
    REWRITE_LAZILY,
};

/* Making a detour costs some hundred microseconds, a trap 2.7. */
#define CALLS_MET 128

struct settings {
    enum statistics statistics;
    enum rewriting rewriting;
    /* How often a system call is met before it is no more trapped; 0: it always is. */
    unsigned calls_met;
    bool trace;
    /* Programs that the program runs in its place run on their own. */
    bool no_follow;
    /* Executed by a program under segue run, and not by the user. */
    bool is_inherited;
    /* Of the forced signals, by their places (actions.h): blocked and ignored by the program that was here before. */
    unsigned inherited_blocked, inherited_ignored;
    /* The process whose figures are told; children say nothing. */
    int process;
    /* The program's mask, which is put in force when it begins. */
    uint64_t inherited_mask;
    /* The code of its dynamic loader; 0 without one. */
    uint64_t loader_start, loader_end;
    /* The program's own file: what /proc/self/exe is to lead to, and a path by which it is opened, which is another one
     * where it has no name (any more). Empty strings before it is loaded. */
    char real_path[4096], own_path[4096];
};

extern struct settings settings;

#endif
