/* parts.h: operands that the processor accesses in parts, where a fault shows it; and plans for a part of an operand.
 * Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_PARTS_H
#define SEGUE_EMULATE_PARTS_H

#include "pieces.h"

/* Makes a plan of `size[i]` bytes of each operand i, from `start[i]` on: those parts of the pieces that lie in them. */
void parts_take(const struct segue_plan *plan, const uint64_t *start, const uint64_t *size, struct segue_plan *part);

/* Whether it is one of the x87 that only stores. */
bool parts_of_x87_store(const struct segue_insn *insn);

/* The store of all of the operand has faulted: stores what this processor stores of it before, if that does not. `part`
 * is room for its plan. */
void parts_store_first(const struct segue_plan *plan, const struct copies *copies, struct segue_plan *part);

/* Whether the operand's last byte is to be looked at before the others, so that it is the one that a fault on the
 * second page of two tells, as on this processor. */
bool parts_are_looked_at_from_the_end(const struct segue_plan *plan);

#endif
