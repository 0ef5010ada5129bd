/* classes.h: the class of each instruction. Used inside decode/ only. */
#ifndef SEGUE_DECODE_CLASSES_H
#define SEGUE_DECODE_CLASSES_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* The class of an instruction in its own form. `insn` has its flags and its memory operands already. */
enum segue_class classes_find(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                              const struct segue_insn *insn);

#endif
