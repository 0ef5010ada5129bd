/* memory.h: accesses to the program's memory, which may fault. The arguments of a system call are accessed with the
 * thread's own protection-key rights, as the kernel would; functions with "freely" in their name ignore the rights. */
#ifndef SEGUE_RUN_MEMORY_H
#define SEGUE_RUN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread;

/* memory_begin: the host begins to serve the thread, with the signals blocked that accesses to the program's memory may
 * raise. memory_open unblocks them for as long as it serves the thread; all functions below do so first. Most system
 * calls need no access. */
void memory_begin(struct thread *thread);
void memory_open(void);

/* Assembly, with the signals unblocked: copies, or returns false. The bytes before the fault have been copied. */
bool run_copy(void *to, const void *from, size_t size);
extern const char run_copy_access[], run_copy_failed[];

/* The protection-key rights (keys.h) of the thread whose call is served. */
extern _Thread_local uint32_t memory_rights;

/* Calls the function, and returns true; false if the function faults because a part of the program's memory is missing,
 * which ends it there. In the host's handler only; not nested. */
bool memory_try(void (*function)(void *context), void *context);

/* Assembly, with the signals unblocked: the same. */
bool run_try(void (*function)(void *context), void *context);
extern const char run_try_failed[];

bool memory_read(void *to, uint64_t address, size_t size);
bool memory_write(uint64_t address, const void *from, size_t size);

bool memory_read_freely(void *to, uint64_t address, size_t size);
bool memory_write_freely(uint64_t address, const void *from, size_t size);

/* Copies a string with its terminator. Returns its length; -1 if not all of it is readable, or it does not fit. */
long memory_read_string(char *to, uint64_t address, size_t capacity);

/* The length of a string; -1 if not all of it is readable. */
long memory_string_length(uint64_t address);

#endif
