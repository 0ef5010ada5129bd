/* program.h: what a heap demo runs: a program of somebody else's, and how much of it. Each demo defines `program`;
 * demo.c is main. */
#ifndef SEGUE_EXAMPLES_HEAPS_PROGRAM_H
#define SEGUE_EXAMPLES_HEAPS_PROGRAM_H

#include <stdint.h>

#include "output.h"

/* As lua_Alloc. */
typedef void *program_allocate(void *unused, void *block, size_t old_size, size_t new_size);

struct program {
    /* "sqlite", for the headline. */
    const char *name;
    /* How much it does: what that is, and the option that sets it, without its dashes. */
    const char *scale_name;
    const char *scale_option;
    /* So much by default, with --quick, at most; and where every access is stepped by a signal. */
    uint64_t scale, quick_scale, scale_max, step_scale;
    size_t heap_size;
    /* A program of the user's may be named in place of the one that is built in; NULL where not. */
    const char *operand;
    /* Before the first run: reads the program that `path` names; NULL is the one that is built in. */
    void (*begin)(const char *path);
    /* Writes what runs: "SQLite 3.40.1, a table of 10,000 rows in memory". */
    void (*describe)(char *text, size_t size, uint64_t scale);
    /* Runs from the start to the end and appends what the program prints, or sets output->error. Memory comes from
     * `allocate`; NULL: the program's own. */
    void (*run)(uint64_t scale, program_allocate *allocate, struct output *output);
    /* How many bytes of the watched memory hold what the next run needs; NULL: none. */
    size_t (*used)(void);
};

extern const struct program program;

#endif
