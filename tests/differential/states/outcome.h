/* outcome.h: what an instruction left behind, and the comparison of two of them.
 *
 * Compared are all general registers, the flags, the base of GS, the XSAVE area (oracle.h says which of it), memory
 * around the access, and, where a signal was raised, its number, code and address, the exception, its error code, and
 * for a page fault the address in the frame. */
#ifndef SEGUE_TESTS_OUTCOME_H
#define SEGUE_TESTS_OUTCOME_H

#include "oracle.h"

/* Bytes of memory kept with an outcome, and how many of them lie before the access. */
#define OUTCOME_WINDOW 64
#define OUTCOME_WINDOW_BEFORE 24

struct outcome {
    struct oracle_output output;
    uint8_t window[OUTCOME_WINDOW];
};

/* Whether vector and x87 state are the same. */
bool outcome_same_images(const struct outcome *left, const struct outcome *right);

bool outcome_equal(const struct outcome *left, const struct outcome *right);

/* Writes a line for each part that differs, at most `size` bytes with the end. */
void outcome_describe(const struct outcome *native, const struct outcome *stepped, char *text, size_t size);

#endif
