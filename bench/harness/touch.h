/* touch.h: the instructions that fault in the benchmarks, and how long they are. */
#ifndef SEGUE_BENCH_TOUCH_H
#define SEGUE_BENCH_TOUCH_H

/* Bytes of the moving instruction in both functions, which the assembler checks; and the register of a signal frame
 * that holds its address. */
#if defined(__i386__)
#define TOUCH_LENGTH 2
#define TOUCH_INSTRUCTION REG_EIP
#else
#define TOUCH_LENGTH 3
#define TOUCH_INSTRUCTION REG_RIP
#endif

#ifndef __ASSEMBLER__
#include <stdint.h>

/* Of a general register. */
typedef uintptr_t touch_word;
typedef touch_word touch_function(void *address, touch_word value);

/* Returns the word at `address`. */
touch_function touch_load;

/* Stores `value` in the word at `address`, and returns it. */
touch_function touch_store;
#endif

#endif
