/* memory.h: the program's memory, which may not be there. What the program hands to a system call is reached with the
 * thread's own rights to protection keys, as the kernel reaches it; "freely" is whatever its key. */
#ifndef SEGUE_RUN_MEMORY_H
#define SEGUE_RUN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread;

/* The host begins to serve the thread, with the signals blocked that accesses to the program's memory may raise; and
 * opens them, which all that follow here do, for as long as it serves it. Most system calls need no access. */
void memory_begin(struct thread *thread);
void memory_open(void);

/* Assembly, with the signals open: copies, or returns false. What came before the fault has been copied. */
bool run_copy(void *to, const void *from, size_t size);
extern const char run_copy_access[], run_copy_failed[];

/* The rights to protection keys (keys.h) of the thread whose call is served. */
extern _Thread_local uint32_t memory_rights;

/* Calls the function, and returns true; false if a part of the program's memory that it reads is not there, where it
 * has ended. In the host's handler only; not nested. */
bool memory_try(void (*function)(void *context), void *context);

/* Assembly, with the signals open: the same. */
bool run_try(void (*function)(void *context), void *context);
extern const char run_try_failed[];

bool memory_read(void *to, uint64_t address, size_t size);
bool memory_write(uint64_t address, const void *from, size_t size);

bool memory_read_freely(void *to, uint64_t address, size_t size);
bool memory_write_freely(uint64_t address, const void *from, size_t size);

/* Copies a string with its end. Returns its length, or -1: not all of it is there, or it does not fit. */
long memory_read_string(char *to, uint64_t address, size_t capacity);

/* The length of a string; -1: not all of it is there. */
long memory_string_length(uint64_t address);

#endif
