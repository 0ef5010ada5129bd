/* fixups.h: what of an operand is not as Zydis gives it. Used inside decode/operands/ alone. */
#ifndef SEGUE_DECODE_FIXUPS_H
#define SEGUE_DECODE_FIXUPS_H

#include "making.h"
#include "rules.h"

/* Changes the descriptor that was made of `operand` as the rule says; it may add another one behind it. */
void fixups_apply(const struct making *making, const ZydisDecodedOperand *operand, struct segue_memory_operand *memory,
                  enum rule rule);

#endif
