/* detour.h: a frequent system call is no longer trapped. Its instruction becomes a short jump to unused bytes nearby
 * (padding.h), and those become a jump to code of the host's that makes the call in its place. Syscall user dispatch
 * exempts that code, but only for the one number that the site had when it was trapped; with any other number the
 * code's own call is trapped.
 *
 * Each change replaces one instruction by one of the same size, so no thread can be in the middle of it. Registers,
 * flags and the bytes below the stack pointer are as SYSCALL leaves them; a signal finds the thread at the site's
 * instruction or behind it. */
#ifndef SEGUE_RUN_DETOUR_H
#define SEGUE_RUN_DETOUR_H

#include "platform/calls/calls.h"
#include "platform/code_range.h"
#include "tools/run/host/thread.h"

/* Reserves the memory for detours, before the program is loaded, and prepares exempt.h. False when there is no
 * memory. */
bool detour_prepare(void);

/* Counts that the call was made unchanged. When it has been made often enough, the site gets a detour, if that is
 * possible; but not from a process that shares memory and may be killed alone while it holds the lock.
 * Async-signal-safe; signals must be blocked. */
void detour_note(const struct thread *thread, const struct system_call *call);

/* Whether any are made. Async-signal-safe. */
bool detour_are_made(void);

/* Makes no more detours: a seccomp filter of the program's may forbid the host to write to code. Async-signal-safe. */
void detour_stop(void);

/* In a child that has a memory of its own: the detours' pieces are its parent's until it makes a detour. */
void detour_in_child(void);

/* Whether the program single-steps and has come to `instruction` on a detour; notes in the thread where the detour
 * ends. Async-signal-safe. */
bool detour_is_step(struct thread *thread, uint64_t instruction);

/* The jumps to detours, wherever they are, as a code range: a thread there is at the program's system call.
 * detour_prepare adds the detours' own ranges. */
extern const struct code_range detour_jump_range;

#endif
