/* touch.h: the instructions that fault in the benchmarks, and how long they are. */
#ifndef SEGUE_BENCH_TOUCH_H
#define SEGUE_BENCH_TOUCH_H

/* Bytes of the moving instruction in both functions; the assembler checks it. */
#define TOUCH_LENGTH 3

#ifndef __ASSEMBLER__
#include <stdint.h>

typedef uint64_t touch_function(void *address, uint64_t value);

/* Returns the eight bytes at `address`. */
touch_function touch_load;

/* Stores `value` in the eight bytes at `address`, and returns it. */
touch_function touch_store;
#endif

#endif
