/* parts.h: operands that the processor accesses in parts, as a fault reveals. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_PARTS_H
#define SEGUE_EMULATE_PARTS_H

#include "pieces.h"

/* Whether it is an x87 instruction that only stores. */
bool parts_of_x87_store(const struct segue_insn *insn);

/* After a fault in the store of the whole operand: stores the part that this processor stores before it faults, unless
 * that part faults too. */
void parts_store_first(const struct segue_plan *plan, const struct copies *copies);

/* Whether the operand's last byte must be probed before the others, so that a fault on the second of two pages reports
 * that byte, as on this processor. */
bool parts_are_probed_from_the_end(const struct segue_plan *plan);

#endif
