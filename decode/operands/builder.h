/* builder.h: operand descriptors under construction. Used inside decode/operands/ only. */
#ifndef SEGUE_DECODE_BUILDER_H
#define SEGUE_DECODE_BUILDER_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

#include "registers.h"

/* The instruction that descriptors are built for. */
struct builder {
    const ZydisDecodedInstruction *instruction;
    const ZydisDecodedOperand *operands;
    struct segue_insn *insn;
};

/* Appends an operand descriptor: all zeros, except that its registers are SEGUE_REGISTER_NONE. */
static inline struct segue_memory_operand *builder_add(struct segue_insn *insn)
{
    struct segue_memory_operand *memory = &insn->memory[insn->memory_count++];
    memory->base = memory->index = SEGUE_REGISTER_NONE;
    return memory;
}

static inline uint8_t builder_register(ZydisRegister reg)
{
    struct register_place place;
    return register_find(reg, &place) ? place.number : SEGUE_REGISTER_NONE;
}

#endif
