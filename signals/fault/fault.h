/* fault.h: whether a signal is a fault, and the address of one that the processor gives none for. */
#ifndef SEGUE_SIGNALS_FAULT_H
#define SEGUE_SIGNALS_FAULT_H

#include <segue/decode.h>
#include <signal.h>

#include "decode/scratch.h"

#define FAULT_ACCESSES 16

/* The memory that it is found out in. */
struct fault_scratch {
    struct decode_scratch decode;
    struct segue_insn insn;
    struct segue_access accesses[FAULT_ACCESSES];
    struct segue_regs regs;
    struct segue_xstate xstate;
};

/* Whether a program or a timer sent the signal: then it is no fault of the instruction at hand, whatever its code says.
 * Async-signal-safe. */
bool fault_was_sent(struct fault_scratch *scratch, const siginfo_t *info, const void *ucontext);

/* For a general protection or stack fault: finds the access whose address no memory can have, by the decoder. Leaves
 * `fault` alone when there is none. Async-signal-safe. */
void fault_find_address(const struct segue_regs *regs, struct segue_fault *fault);

#endif
