/* child.h: the demos, run as programs of their own, and the figures that they print. */
#ifndef SEGUE_BENCH_HOT_CHILD_H
#define SEGUE_BENCH_HOT_CHILD_H

#include <stdbool.h>

#define CHILD_WORDS 16
#define CHILD_OUTPUT 4096

struct child {
    /* The command, as for execvp. */
    const char *words[CHILD_WORDS];
    /* How often it ran; what it printed; the nanoseconds that the processor was at work for the last run. */
    unsigned runs;
    char output[CHILD_OUTPUT];
    double cpu;
};

/* One number that a child prints: in the line that begins with `line`, the number `index` behind the word `field`;
 * NULL: behind `line`. */
struct child_figure {
    struct child *child;
    const char *line, *field;
    unsigned index;
    /* The run that it was last taken of. */
    unsigned run;
};

/* Whether the command can be run. */
bool child_is_there(const struct child *child);

/* Takes a figure of a run that it was not taken of yet: several figures of a child are of one run, and a figure is
 * taken once of each. Ends the process with a message on failure. */
double child_take(struct child_figure *figure);

/* The same with the run's CPU time, that of the whole process; `figure` has only a child. */
double child_take_cpu(struct child_figure *figure);

/* The figure of the last run, however often it was taken. */
double child_read(const struct child_figure *figure);

#endif
