/* exempt.h: the addresses at which syscall user dispatch does not trap the program's system calls, whatever the
 * selector: the last instructions of the return path to the program, and room for detours (detour.h). */
#ifndef SEGUE_RUN_EXEMPT_H
#define SEGUE_RUN_EXEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/memory/executable.h"

/* Puts the return path into the first page of the memory, whose first `size` bytes are then exempt. Without memory the
 * return path is exempt where it is. */
void exempt_prepare(const struct executable_memory *memory, size_t size);

/* The range to pass to the kernel (prctl). Async-signal-safe. */
uint64_t exempt_start(void);
uint64_t exempt_size(void);

/* Whether the address is on the return path. Async-signal-safe. */
bool exempt_is_leaving(uint64_t address);

/* The template of the return path, and where its copy is. */
extern const char run_leave[], run_leave_end[];
extern uint64_t run_leave_copy;

#endif
