/* classes.c: the class of each instruction. classes.txt is the table. This file determines an instruction's form and
 * looks its class up by mnemonic and form. */
#include "classes.h"

#include "mnemonics.h"

enum form {
    FORM_REGISTER,
    FORM_LOAD,
    FORM_STORE,
    FORM_UPDATE,
    FORM_CONTROL,
    FORM_SEGMENT,
    FORM_STRING,
    FORM_LOCKED,
    FORM_COUNT,
};

#include "classes_table.h"

static const char *const names[SEGUE_CLASS_COUNT] = {
    [SEGUE_CLASS_UNKNOWN] = "?",
    [SEGUE_CLASS_MOVE] = "move",
    [SEGUE_CLASS_ALU] = "alu",
    [SEGUE_CLASS_RMW] = "rmw",
    [SEGUE_CLASS_LOCK] = "lock",
    [SEGUE_CLASS_STRING] = "string",
    [SEGUE_CLASS_STACK] = "stack",
    [SEGUE_CLASS_BRANCH] = "branch",
    [SEGUE_CLASS_SIMD_MOVE] = "simd-move",
    [SEGUE_CLASS_SIMD_COMPUTE] = "simd-compute",
    [SEGUE_CLASS_GATHER] = "gather",
    [SEGUE_CLASS_SCATTER] = "scatter",
    [SEGUE_CLASS_MASK] = "mask",
    [SEGUE_CLASS_BIT] = "bit",
    [SEGUE_CLASS_X87] = "x87",
    [SEGUE_CLASS_STATE] = "state",
    [SEGUE_CLASS_SEGMENT] = "segment",
    [SEGUE_CLASS_SYSTEM] = "system",
    [SEGUE_CLASS_NONE] = "none",
};

/* Segment, control and debug registers have forms of their own, by the ranges of Zydis' register numbers. */
static enum form form_of_register(ZydisRegister reg)
{
    if (reg >= ZYDIS_REGISTER_ES && reg <= ZYDIS_REGISTER_GS)
        return FORM_SEGMENT;
    if (reg >= ZYDIS_REGISTER_CR0 && reg <= ZYDIS_REGISTER_DR15)
        return FORM_CONTROL;
    return FORM_REGISTER;
}

/* The form by the first two operands. */
static enum form form_of_registers(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands)
{
    enum form found = FORM_REGISTER;
    for (size_t i = 0; i < instruction->operand_count_visible && i < 2; i++) {
        enum form form = form_of_register(operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER ? operands[i].reg.value
                                                                                          : ZYDIS_REGISTER_NONE);
        found = found == FORM_REGISTER ? form : found;
    }
    return found;
}

/* `names_registers`: the class depends on whether an operand is a segment or control register. */
static enum form form_of(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                         const struct segue_insn *insn, bool names_registers)
{
    static const uint8_t by_direction[] = {[0] = FORM_REGISTER,
                                           [SEGUE_READ] = FORM_LOAD,
                                           [SEGUE_WRITE] = FORM_STORE,
                                           [SEGUE_READ | SEGUE_WRITE] = FORM_UPDATE};
    if (insn->flags & SEGUE_INSN_LOCKED)
        return FORM_LOCKED;
    if (instruction->meta.category == ZYDIS_CATEGORY_STRINGOP)
        return FORM_STRING;
    if (names_registers) {
        enum form form = form_of_registers(instruction, operands);
        if (form != FORM_REGISTER)
            return form;
    }
    return insn->memory_count ? by_direction[insn->memory[0].direction & (SEGUE_READ | SEGUE_WRITE)] : FORM_REGISTER;
}

enum segue_class classes_find(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                              const struct segue_insn *insn)
{
    const uint8_t *classes = class_of[section_of[instruction->mnemonic]];
    return classes[form_of(instruction, operands, insn, classes[FORM_SEGMENT] != classes[FORM_REGISTER])];
}

const char *segue_class_name(enum segue_class number)
{
    return (size_t)number < SEGUE_CLASS_COUNT ? names[number] : "?";
}

enum segue_class segue_mnemonic_class(unsigned mnemonic)
{
    if (mnemonic >= segue_mnemonic_count())
        return SEGUE_CLASS_UNKNOWN;
    return class_of[section_of[mnemonic_to_zydis(mnemonic)]][FORM_REGISTER];
}
