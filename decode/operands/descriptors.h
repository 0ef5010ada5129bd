/* descriptors.h: builds operand descriptors. Used inside decode/ only. */
#ifndef SEGUE_DECODE_DESCRIPTORS_H
#define SEGUE_DECODE_DESCRIPTORS_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* Whether the instruction accesses memory through hidden operands, which assembly text does not show. */
bool descriptors_need_hidden(const ZydisDecodedInstruction *instruction);

/* Fills in the memory operands of `insn` in the order of their accesses, or the reason why there is no access list.
 * `insn` has its mode, address size and flags already. */
void descriptors_make(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                      struct segue_insn *insn);

#endif
