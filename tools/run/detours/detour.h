/* detour.h: a system call that is met often is not trapped any more. Its instruction becomes a short jump to unused
 * bytes nearby (padding.h), and those a jump to a piece of code of the host's that makes the call in its place: one
 * that the dispatch of system calls exempts, for the one number that the site was met with; with any other it is
 * trapped there.
 *
 * Each change is one instruction for one of the same size, which no thread can be in the middle of. No register, no
 * flag and no byte below the stack pointer is other than SYSCALL leaves it; a signal finds the thread at the site's
 * instruction or behind it. */
#ifndef SEGUE_RUN_DETOUR_H
#define SEGUE_RUN_DETOUR_H

#include "platform/code_range.h"
#include "tools/run/host/thread.h"

/* Makes room for them, before the program is loaded, and makes exempt.h ready. False when there is no memory. */
bool detour_prepare(void);

/* Notes that the call before `instruction` was made as it was. When it has been often enough, it is led on a detour, if
 * that can be done; not by one that may be killed alone, with the lock held. Async-signal-safe; signals must be
 * blocked. */
void detour_note(const struct thread *thread, uint64_t instruction, uint64_t number);

/* Whether any are made. Async-signal-safe. */
bool detour_are_made(void);

/* No more of them: a filter of the program's may not let the host write to code. Async-signal-safe. */
void detour_stop(void);

/* Whether a step of a program through itself has come to `instruction` on a detour; notes in the thread where that
 * ends. Async-signal-safe. */
bool detour_is_step(struct thread *thread, uint64_t instruction);

/* The jumps to detours, wherever they are: the program stands at the system call. The detours themselves are ranges
 * that detour_prepare adds. */
extern const struct code_range detour_jump_range;

#endif
