/* trap.h: what the thread's flags, and its restartable sequences, make of an instruction that is stepped. */
#ifndef SEGUE_SIGNALS_TRAP_H
#define SEGUE_SIGNALS_TRAP_H

#include <stdbool.h>
#include <stdint.h>

#include "signals/chain/chain.h"

/* Whether the thread traps behind each instruction, by the flags that it came with. Async-signal-safe. */
bool trap_is_wanted(const void *ucontext);

/* The frame is that of a thread that has been stepped and wants the trap: has it, as the processor's, and ends as
 * chain_signal does. The siginfo is overwritten. Async-signal-safe. */
void trap_raise(struct native_frame native, enum chain_way way);

/* Whether the trap is a breakpoint's of a change to code that is under way, or was when the thread met it: then the frame
 * leads on. Async-signal-safe. */
bool trap_take_breakpoint(void *context);

/* Whether an instruction is where a restartable sequence (rseq(2)) goes on that was interrupted: the kernel has taken
 * the thread there, as it does before each signal, so that the one that faulted is not known. Async-signal-safe. */
bool trap_is_restart(uint64_t instruction);

/* Counts that a thread has come there by a fault at this address. False when it has often, with no other in between: a
 * sequence that begins again gets no further. Async-signal-safe. */
bool trap_may_restart(uint64_t instruction, uint64_t address);

#endif
