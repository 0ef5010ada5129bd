/* making.h: operand descriptors in the making. Used inside decode/operands/ alone. */
#ifndef SEGUE_DECODE_MAKING_H
#define SEGUE_DECODE_MAKING_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

#include "registers.h"

/* What the making of the templates is about. */
struct making {
    const ZydisDecodedInstruction *instruction;
    const ZydisDecodedOperand *operands;
    struct segue_insn *insn;
};

/* The next operand, all zeros but for its registers. */
static inline struct segue_memory_operand *making_add(struct segue_insn *insn)
{
    struct segue_memory_operand *memory = &insn->memory[insn->memory_count++];
    memory->base = memory->index = SEGUE_REGISTER_NONE;
    return memory;
}

static inline uint8_t making_register(ZydisRegister reg)
{
    struct register_place place;
    return register_find(reg, &place) ? place.number : SEGUE_REGISTER_NONE;
}

#endif
