/* fault.h: the address of a fault that the processor gives none for. */
#ifndef SEGUE_SIGNALS_FAULT_H
#define SEGUE_SIGNALS_FAULT_H

#include <segue/emulate.h>

/* For a general protection or stack fault: finds the access whose address no memory can have, by the decoder. Leaves
 * `fault` alone when there is none. Async-signal-safe. */
void fault_find_address(const struct segue_regs *regs, struct segue_fault *fault);

#endif
