/* start.h: how the host begins. It does not use the C library's start: that executes CPUID some ninety times before
 * main, and in a virtual machine each takes microseconds (docs/facts.md), which was three quarters of a start. The
 * functions that the host needs of a C library are in library.c and library_linux.c. */
#ifndef SEGUE_RUN_START_H
#define SEGUE_RUN_START_H

#include <stdint.h>

/* The first thread's storage: the thread-local variables, and after them, at `pointer`, what the ABI and the compiler
 * expect at the thread pointer. */
struct start_storage {
    uint64_t begin, pointer, end;
};
extern struct start_storage start_storage;

/* A value of the auxiliary vector; 0 if it is not there. Async-signal-safe. */
uint64_t start_told(uint64_t type);

/* The host's own code, for searches of mappings. */
extern const char start_code[] __asm__("__ehdr_start"), start_code_end[] __asm__("etext");

/* In main.c; does not return. */
_Noreturn void start_main(int argument_count, char **arguments);

#endif
