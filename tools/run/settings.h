/* settings.h: what was asked for on the command line. Read only, once the program runs. */
#ifndef SEGUE_RUN_SETTINGS_H
#define SEGUE_RUN_SETTINGS_H

#include <stdbool.h>

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
    /* Of the forced signals, by their places (actions.h): blocked and ignored by the program that was here before. */
    unsigned inherited_blocked, inherited_ignored;
    /* The process whose figures are told; children say nothing. */
    int process;
    /* The program: a path for this process, and its absolute one, which /proc/self/exe is to be. */
    const char *path;
    char real_path[4096];
};

extern struct settings settings;

#endif
