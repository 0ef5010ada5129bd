/* coverage.h: how many states of a run had which window, encoding and mnemonic: counted in memory that a program's
 * workers share, and written as a file that tools/sweep/merge.py adds up. */
#ifndef SEGUE_TESTS_COVERAGE_H
#define SEGUE_TESTS_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <segue/decode.h>

/* Begins to count; the windows have these names, which stay. Without it the others do nothing. False without memory. */
bool coverage_begin(const char *const *windows, size_t count);

/* A state of the instruction in a window. MT-Safe, and several processes may count at once. */
void coverage_note(const struct segue_insn *insn, unsigned window);

/* All counts, to be kept with what else a run keeps; `*size` is 0 where nothing is counted. */
void *coverage_counts(size_t *size);

/* Writes lines of window, encoding, mnemonic and count. False, having said why, if that fails. */
bool coverage_save(const char *path);

#endif
