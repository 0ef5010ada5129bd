/* process.h: a program that reads all its input and then ends: objdump, or another decoder.
 *
 * Input and output are files in memory: nothing blocks, and no file is left behind. */
#ifndef SEGUE_CORPUS_PROCESS_H
#define SEGUE_CORPUS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "corpus/support/error.h"

/* The program finds its input on standard input, and under this name. */
#define CORPUS_PROCESS_INPUT "/proc/self/fd/0"

/* How long a program may take and how much it may write before it counts as one that never ends. */
struct corpus_limits {
    /* Seconds without a byte of output. */
    double patience;
    /* Lines, and bytes, of output. */
    size_t lines, bytes;
};

/* All zero bytes are one that was never started. */
struct corpus_process {
    const char *name;
    struct corpus_limits limits;
    pid_t process;
    int input;
    int output;
    /* The output, once the program has ended; NULL if it is empty. */
    const char *text;
    size_t text_size;
};

/* Starts arguments[0], found along PATH, on `size` bytes of input, in a process group of its own. False, and `error`,
 * on failure; then there is nothing to end. */
bool corpus_process_start(struct corpus_process *process, char *const arguments[], const void *input, size_t size,
                          struct corpus_limits limits, struct corpus_error *error);

/* Waits for the end and makes the output readable. False, and `error`, unless the program ended with status 0 within
 * its limits; beyond them its group is killed. corpus_process_end must be called in either case. */
bool corpus_process_wait(struct corpus_process *process, struct corpus_error *error);

/* Releases everything. Waits for the program if corpus_process_wait has not. */
void corpus_process_end(struct corpus_process *process);

#endif
