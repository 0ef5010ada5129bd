/* parts.h: operands that the processor accesses in parts, where a fault shows it. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_PARTS_H
#define SEGUE_EMULATE_PARTS_H

#include "pieces.h"

/* Whether it is one of the x87 that only stores. */
bool parts_of_x87_store(const struct segue_insn *insn);

/* The store of all of the operand has faulted: stores what this processor stores of it before, if that does not. */
void parts_store_first(const struct segue_plan *plan, const struct copies *copies);

/* Whether the operand's last byte is to be looked at before the others, so that it is the one that a fault on the
 * second page of two tells, as on this processor. */
bool parts_are_looked_at_from_the_end(const struct segue_plan *plan);

#endif
