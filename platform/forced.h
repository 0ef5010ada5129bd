/* forced.h: memory reached past its protection, through the kernel. */
#ifndef SEGUE_SYSTEM_FORCED_H
#define SEGUE_SYSTEM_FORCED_H

#include <segue/status.h>

/* Makes forced accesses possible in this process, and proves it on a page of its own. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED when this kernel does not let a process past its own protection; SEGUE_NO_MEMORY. Not
 * async-signal-safe; thread-safe. */
enum segue_status forced_prepare(void);

/* Whether forced accesses can be made now: forced_prepare was called in this process or in one that it descends from,
 * and the kernel lets this one past its own protection, or it has one thread. Async-signal-safe, thread-safe. */
bool forced_ready(void);

/* Copies between `bytes` and the memory at `address`, whatever its protection. False when it cannot all be reached, or
 * when forced_ready is. Async-signal-safe, thread-safe; right in a child made by fork or by a bare system call, and
 * when the program has closed the descriptor. */
bool forced_read(uint64_t address, void *bytes, size_t size);
bool forced_write(uint64_t address, const void *bytes, size_t size);

/* To be called in a child that shares no memory with its parent: closes the descriptor that leads to the parent's
 * memory, and opens the child's own if the parent had one. The C library's fork calls it; who makes children by bare
 * system calls calls it first of all in the child. Async-signal-safe. */
void forced_in_child(void);

/* The same without opening: for a child that nobody told of its being one. Does nothing in other processes.
 * Async-signal-safe, thread-safe. */
void forced_leave_parent(void);

#endif
