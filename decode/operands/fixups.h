/* fixups.h: corrections of operand descriptors. Used inside decode/operands/ only. */
#ifndef SEGUE_DECODE_FIXUPS_H
#define SEGUE_DECODE_FIXUPS_H

#include "builder.h"
#include "rules.h"

/* Corrects the descriptor that was made from `operand` as the rule says. It may append another descriptor. */
void fixups_apply(const struct builder *builder, const ZydisDecodedOperand *operand,
                  struct segue_memory_operand *memory, enum rule rule);

#endif
