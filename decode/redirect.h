/* redirect.h: an instruction's bytes with its memory operand led elsewhere. Used inside decode/ alone. */
#ifndef SEGUE_DECODE_REDIRECT_H
#define SEGUE_DECODE_REDIRECT_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* Fills in `insn->redirection`. `insn` is complete but for that. */
void redirect_make(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                   struct segue_insn *insn);

#endif
