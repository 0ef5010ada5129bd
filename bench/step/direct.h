/* direct.h: an instruction planned and stepped without a signal, and the same instruction run by Unicorn. */
#ifndef SEGUE_BENCH_DIRECT_H
#define SEGUE_BENCH_DIRECT_H

#include "classes.h"

/* Both are given the instruction's memory: a page that the program has closed, and where it can be reached. Ends the
 * program if the two do not come to the same result. */
void direct_prepare(void *memory, void *alias);
void direct_release(void);

/* Run the class's instruction so many times, each time from the same general registers and flags, which are handed over
 * and taken back: planned and stepped; by Unicorn from the instruction to its end, as its samples call it; and by
 * Unicorn for a count of one with no end, its quickest way that we know. */
void direct_step(enum class_number number, unsigned operations);
void direct_unicorn(enum class_number number, unsigned operations);
void direct_unicorn_counted(enum class_number number, unsigned operations);

#endif
