/* trap.h: how the trap flag and restartable sequences affect an instruction that is stepped. */
#ifndef SEGUE_SIGNALS_TRAP_H
#define SEGUE_SIGNALS_TRAP_H

#include <stdbool.h>
#include <stdint.h>

#include "signals/chain/chain.h"

/* Whether the interrupted thread's flags ask for a single-step trap after each instruction. Async-signal-safe. */
bool trap_is_wanted(const void *ucontext);

/* For the frame of a thread whose instruction was stepped and that wants the trap: raises the trap as the processor
 * would have, and ends as chain_signal does. Overwrites the siginfo. Async-signal-safe. */
void trap_raise(struct native_frame native, enum chain_way way);

/* Whether the trap comes from a breakpoint of a code change that is in progress, or was when the thread met it. Then
 * the frame makes the thread resume in the right code. Async-signal-safe. */
bool trap_take_breakpoint(void *context);

/* Whether the instruction is the abort handler of a restartable sequence (rseq(2)). The kernel takes an interrupted
 * sequence there before it delivers a signal, so the instruction that faulted is not known. Async-signal-safe. */
bool trap_is_restart(uint64_t instruction);

/* Counts that a fault at `address` has taken a thread to that abort handler. False if that has happened too often in
 * a row: then restarting the sequence makes no progress. Async-signal-safe. */
bool trap_may_restart(uint64_t instruction, uint64_t address);

#endif
