/* loops.h: loops around one load, each twice: one copy stays as it is, the other becomes a hot site. */
#ifndef SEGUE_BENCH_HOT_LOOPS_H
#define SEGUE_BENCH_HOT_LOOPS_H

#include <stdint.h>

/* Loads the word at `at`, `count` times. */
void load_native(const void *at, uint64_t count);
void load_hot(const void *at, uint64_t count);

/* Follows the pointers from `at` on, `count` times. Returns where it ends. */
const void *chase_native(const void *at, uint64_t count);
const void *chase_hot(const void *at, uint64_t count);

/* Loads the first word of its page, `count` times: the address is a constant. */
#define LOOPS_PAGE 4096
extern char loops_native_page[LOOPS_PAGE], loops_hot_page[LOOPS_PAGE];
void constant_native(uint64_t count);
void constant_hot(uint64_t count);

#endif
