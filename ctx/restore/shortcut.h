/* shortcut.h: a way to go to an instruction with every register of its own, without the processor's IRETQ, which takes
 * as long as a system call on some processors.
 *
 * The last jump reads its target from memory that it must find without any register, and that nobody may change while a
 * signal's handler stands between: so each target has a word of its own for good, and the first that come get one.
 *
 * IRETQ also serializes, as code that was changed may need it. An instruction that is tried again, as after a change of
 * its bytes, has the resume flag in the frame of its fault, and has no shortcut for that reason. */
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

/* The shortcut to `rip`, which is not 0; NULL if it has none, and gets none. Async-signal-safe, thread-safe. */
const void *shortcut_to(uint64_t rip);

/* Whether `rip` is in one; `*target` is where it leads, `*step` one of the above. */
bool shortcut_holds(uint64_t rip, uint64_t *target, unsigned *step);

/* Makes the registers of a thread before that step of the shortcut to `target` those that it leads to. The landing's
 * rip is read before the first step alone. */
void shortcut_take(struct segue_regs *regs, unsigned step, uint64_t target);

/* All shortcuts. */
extern const struct code_range shortcut_range;

/* Assembly. Entered with the landing's flags, and then its stack pointer, on top of the stack, and all else loaded. */
extern const char shortcut_code[SHORTCUT_COUNT][SHORTCUT_SIZE] __attribute__((visibility("hidden")));
extern uint64_t shortcut_targets[SHORTCUT_COUNT] __attribute__((visibility("hidden")));
#endif

#endif
