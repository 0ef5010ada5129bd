/* far.h: far jumps, calls and returns, and IRET, within the thread's own code segment. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_FAR_H
#define SEGUE_EMULATE_FAR_H

#include "transfer.h"

/* Whether the instruction is one of these. */
bool far_does(const struct segue_insn *insn);

/* The refusal; NULL if it can be carried out. */
const char *far_refusal(const struct segue_plan *plan);

/* As segue_step, except that it leaves the resume flag. Also returns SEGUE_UNSUPPORTED if the selectors that it reads
 * are not the thread's, or if it would change flags that a handler cannot change. */
enum segue_status far_step(struct transfer *transfer, const struct segue_plan *plan, struct segue_regs *regs,
                           struct segue_fault *fault);

#endif
