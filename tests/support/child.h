/* child.h: runs one case of a test program in a fresh process of the same program, so that it may crash. */
#ifndef SEGUE_TESTS_CHILD_H
#define SEGUE_TESTS_CHILD_H

#include <stddef.h>

struct child_case {
    const char *name;
    /* Its return value becomes the exit status. */
    int (*run)(void);
};

struct child_result {
    /* The exit status, or -1 when a signal ended it. */
    int status;
    /* The signal that ended it, or 0. */
    int signal;
    /* What it wrote to standard output and standard error together, as a string. */
    char output[4096];
};

/* To be called first in main: if the process was started as a child, runs its case and exits. */
void child_main(int argc, char **argv, const struct child_case *cases, size_t count);

/* Runs the case in a child and waits for it, at most 60 seconds, or so many times that (times.h). */
struct child_result child_run(const char *name);

#endif
