/* start.h: how the host begins. It has no C library of its own: one asks the processor what it is some ninety times
 * before main, and in a virtual machine each answer costs microseconds (docs/facts.md); that was three quarters of a
 * start. What it needs of one is in library.c and library_linux.c. */
#ifndef SEGUE_RUN_START_H
#define SEGUE_RUN_START_H

#include <stdint.h>

/* The first thread's storage: the thread-local variables, and behind them, where `pointer` leads, what the ABI and the
 * compiler look for at the thread pointer. */
struct start_storage {
    uint64_t begin, pointer, end;
};
extern struct start_storage start_storage;

/* Of the auxiliary vector; 0 where it is not there. Async-signal-safe. */
uint64_t start_told(uint64_t type);

/* The host's own code, for who searches mappings. */
extern const char start_code[] __asm__("__ehdr_start"), start_code_end[] __asm__("etext");

/* In main.c; does not return. */
_Noreturn void start_main(int argument_count, char **arguments);

#endif
