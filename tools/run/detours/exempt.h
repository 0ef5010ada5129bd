/* exempt.h: the addresses at which syscall user dispatch does not trap the program's system calls, whatever the
 * selector: the last instructions of the return path to the program, and room for detours (detour.h). */
#ifndef SEGUE_RUN_EXEMPT_H
#define SEGUE_RUN_EXEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reserves them, with `room` bytes for detours, and `more` bytes behind them at which calls are trapped. False when
 * there is no memory. */
bool exempt_prepare(size_t room, size_t more);

/* The range to pass to the kernel (prctl). Async-signal-safe. */
uint64_t exempt_start(void);
uint64_t exempt_size(void);

/* Where the room begins. */
uint64_t exempt_room(void);

/* Whether the address is on the return path. Async-signal-safe. */
bool exempt_is_leaving(uint64_t address);

/* The template of the return path, and where its copy is. */
extern const char run_leave[], run_leave_end[];
extern uint64_t run_leave_copy;

#endif
