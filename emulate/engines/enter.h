/* enter.h: ENTER, which pushes several words and reads others. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_ENTER_H
#define SEGUE_EMULATE_ENTER_H

#include <segue/emulate.h>

/* Why it is not done with these accesses; NULL if it is. */
const char *enter_refusal(const struct segue_plan *plan);

/* As segue_step, but for the resume flag. What was pushed before a fault stays in memory, as on the processor. */
enum segue_status enter_step(const struct segue_plan *plan, struct segue_regs *regs, struct segue_fault *fault);

#endif
