/* fault.h: whether a signal is a fault, and the fault's address where the processor reports none. */
#ifndef SEGUE_SIGNALS_FAULT_H
#define SEGUE_SIGNALS_FAULT_H

#include <segue/decode.h>

#include "decode/scratch.h"
#include "platform/frame/frame.h"

#define FAULT_ACCESSES 16

/* Working memory for both. */
struct fault_scratch {
    struct decode_scratch decode;
    struct segue_insn insn;
    struct segue_access accesses[FAULT_ACCESSES];
    struct segue_regs regs;
    struct segue_xstate xstate;
};

/* The interrupted registers; the segment bases are those in force now, or an interrupted guest's. Async-signal-safe. */
void fault_get_registers(const void *context, struct segue_regs *regs);

/* As frame_read, with the guest's segment bases if a guest was interrupted. Async-signal-safe. */
void fault_read(struct fault_frame *frame);

/* Whether a program or a timer sent the signal: then it is not a fault of the instruction at hand, whatever its
 * si_code says. Async-signal-safe. */
bool fault_was_sent(struct fault_scratch *scratch, struct native_frame native);

/* The fault that a signal reports. For a general protection or stack fault its address is that of the instruction's
 * access with a non-canonical address, if it has one. SEGUE_NOT_FOUND if a program or a timer sent the signal.
 * Precondition: frame_is_fault. Async-signal-safe. */
enum segue_status fault_of_signal(struct native_frame native, struct segue_fault *fault);

#endif
