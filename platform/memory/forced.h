/* forced.h: memory reached past its protection, through the kernel. */
#ifndef SEGUE_PLATFORM_FORCED_H
#define SEGUE_PLATFORM_FORCED_H

#include <segue/status.h>

/* Makes forced accesses possible in this process, and verifies it on a page of its own. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED if this kernel does not let a process bypass its own protection; SEGUE_NO_MEMORY. Not
 * async-signal-safe; thread-safe. */
enum segue_status forced_prepare(void);

/* Why forced_prepare returns SEGUE_UNSUPPORTED on this system: a static string. */
const char *forced_refusal(void);

/* Whether forced accesses are possible now: forced_prepare was called in this process or in an ancestor, and the kernel
 * lets this process bypass its own protection, or the process has one thread. Async-signal-safe, thread-safe. */
bool forced_ready(void);

/* Copies between `bytes` and the memory at `address`, whatever its protection. False if any of it cannot be reached,
 * or if forced_ready is false. Async-signal-safe, thread-safe; works in a child made by fork or by a bare system
 * call, and after the program has closed the descriptor. */
bool forced_read(uint64_t address, void *bytes, size_t size);
bool forced_write(uint64_t address, const void *bytes, size_t size);

struct forced_part {
    uint64_t address;
    const void *bytes;
    size_t size;
};

/* As forced_write for one part after the other, with fewer system calls for each. Returns how many parts were written
 * before the first that could not be. */
size_t forced_write_parts(const struct forced_part *parts, size_t count);

/* Until forced_let_go the file is not identified again. Only for a process in which no other thread runs meanwhile,
 * with signals blocked. Async-signal-safe. */
void forced_hold(void);
void forced_let_go(void);

/* To be called in a child that does not share its parent's memory: closes the descriptor for the parent's memory, and
 * opens the child's own if the parent had one. The C library's fork calls it; a program that makes children by bare
 * system calls calls it first in the child. Async-signal-safe. */
void forced_in_child(void);

/* The same without opening: for a child that does not know that it is one. Does nothing in other processes.
 * Async-signal-safe, thread-safe. */
void forced_leave_parent(void);

#endif
