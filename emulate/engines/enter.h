/* enter.h: ENTER, which pushes several words and reads others. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_ENTER_H
#define SEGUE_EMULATE_ENTER_H

#include <segue/emulate.h>

/* The refusal for these accesses; NULL if ENTER can be carried out. */
const char *enter_refusal(const struct segue_plan *plan);

/* As segue_step, except that it leaves the resume flag. Words pushed before a fault stay in memory, as on the
 * processor. */
enum segue_status enter_step(const struct segue_plan *plan, struct segue_regs *regs, struct segue_fault *fault);

#endif
