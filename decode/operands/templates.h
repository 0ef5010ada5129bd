/* templates.h: memory operands as formulas. Used inside decode/ alone. */
#ifndef SEGUE_DECODE_TEMPLATES_H
#define SEGUE_DECODE_TEMPLATES_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* Whether there is memory that the instruction accesses among the operands that no assembly text shows. */
bool templates_need_hidden(const ZydisDecodedInstruction *instruction);

/* Fills in the memory operands of `insn`, in the order in which they are accessed, and why they cannot be told. `insn`
 * has its mode, address size and flags already. */
void templates_make(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                    struct segue_insn *insn);

#endif
