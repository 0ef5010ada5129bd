/* shortcut.h: jumps to an instruction with all registers loaded, without IRETQ, which on some processors takes as long
 * as a system call.
 *
 * The last jump reads its target from memory that it must address without any register, and that must not change while
 * a signal handler interrupts the shortcut: so each target has a word of its own that never changes. The first targets
 * get one; later ones use IRETQ.
 *
 * IRETQ also serializes, which changed code may need. An instruction that is retried, as after a change of its bytes,
 * has the resume flag set in the frame of its fault, and for that reason has no shortcut. */
#ifndef SEGUE_CTX_SHORTCUT_H
#define SEGUE_CTX_SHORTCUT_H

#define SHORTCUT_BITS 10
#define SHORTCUT_COUNT (1 << SHORTCUT_BITS)
#define SHORTCUT_SIZE 16
/* A shortcut's instructions: the flags, the stack pointer, the jump. */
#define SHORTCUT_FLAGS 0
#define SHORTCUT_STACK 1
#define SHORTCUT_JUMP 2

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

#include "platform/code_range.h"

/* The shortcut to `rip`, which is not 0; NULL if it has none and cannot get one. Async-signal-safe, thread-safe. */
const void *shortcut_to(uint64_t rip);

/* Whether `rip` is in a shortcut; `*target` is its target, `*step` one of the above. */
bool shortcut_holds(uint64_t rip, uint64_t *target, unsigned *step);

/* Translates the registers of a thread before that step of the shortcut to `target` to those that it restores. Reads
 * the landing's rip only before the first step. */
void shortcut_take(struct segue_regs *regs, unsigned step, uint64_t target);

/* All shortcuts. */
extern const struct code_range shortcut_range;

/* In assembly. Entered with the flags to restore, and then the stack pointer, on top of the stack; the rest is
 * loaded. */
extern const char shortcut_code[SHORTCUT_COUNT][SHORTCUT_SIZE] __attribute__((visibility("hidden")));
extern uint64_t shortcut_targets[SHORTCUT_COUNT] __attribute__((visibility("hidden")));
#endif

#endif
