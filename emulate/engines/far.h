/* far.h: far jumps, calls and returns, and IRET, within the thread's own code segment. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_FAR_H
#define SEGUE_EMULATE_FAR_H

#include "transfer.h"

/* Whether the instruction is one of these. */
bool far_does(const struct segue_insn *insn);

/* Why it is not done; NULL if it is. */
const char *far_refusal(const struct segue_plan *plan);

/* As segue_step, but for the resume flag. SEGUE_UNSUPPORTED as well where the selectors that are read are not the thread's, or flags would
 * change that a handler cannot change. */
enum segue_status far_step(struct transfer *transfer, const struct segue_plan *plan, struct segue_regs *regs,
                           struct segue_fault *fault);

#endif
