/* quirks.c: the one place where defects of Zydis 4.0.0 are worked around.
 *
 * SOURCES: zyantific/zydis issue 592 (fixed upstream after 4.1.1); notes on MVEX in docs/facts.md. */
#include "quirks.h"

#include "processor.h"

/* MOVSXD with a 16-bit destination: AMD's processors read four bytes and use two, Intel's read two (measured on one of
 * each, docs/facts.md). Zydis says four always. */
static void mend_movsxd(const ZydisDecodedInstruction *instruction,
                        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->mnemonic == ZYDIS_MNEMONIC_MOVSXD && instruction->operand_width == 16 && !processor_is_amd())
        operands[1].size = operands[1].element_size = 16;
}

/* 67h, ModRM.mod 0, SIB.base 5 and REX.B: there is no base register but a 32-bit displacement; Zydis gives R13D and
 * drops the displacement. */
static void mend_base_of_address32(const ZydisDecodedInstruction *instruction,
                                   ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->address_width != 32 || !(instruction->attributes & ZYDIS_ATTRIB_HAS_SIB) ||
        instruction->raw.modrm.mod != 0 || instruction->raw.sib.base != 5)
        return;
    for (size_t i = 0; i < instruction->operand_count; i++) {
        ZydisDecodedOperand *operand = &operands[i];
        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY || operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
            continue;
        operand->mem.base = ZYDIS_REGISTER_NONE;
        operand->mem.disp.has_displacement = ZYAN_TRUE;
        operand->mem.disp.value = instruction->raw.disp.value;
    }
}

/* Far pointers in memory: AMD's processors have no 64-bit offsets, with REX.W neither; Zydis gives Intel's. */
static void mend_far_pointer(const ZydisDecodedInstruction *instruction,
                             ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    bool far =
        instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || instruction->meta.category == ZYDIS_CATEGORY_SEGOP;
    if (!far || !processor_is_amd())
        return;
    for (size_t i = 0; i < instruction->operand_count; i++) {
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && operands[i].size == 80)
            operands[i].size = operands[i].element_size = 48;
    }
}

/* With 66h AMD's processors make a near branch in 64-bit mode one of 16 bits, in what it reads and what it pushes too;
 * Zydis knows that of those with a displacement alone. */
static void mend_near_branch(ZydisDecodedInstruction *instruction,
                             ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->operand_width != 64 || !(instruction->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) ||
        instruction->raw.rex.W || !processor_is_amd())
        return;
    instruction->operand_width = 16;
    for (size_t i = 0; i < instruction->operand_count; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            operands[i].size = operands[i].element_size = 16;
}

/* Knights Corner's encodings are accepted though that decoder mode is off; every processor since raises #UD. Zydis
 * numbers their sets one after the other. */
static bool is_knights_corner(const ZydisDecodedInstruction *instruction)
{
    return instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
           (instruction->meta.isa_set >= ZYDIS_ISA_SET_KNCE && instruction->meta.isa_set <= ZYDIS_ISA_SET_KNC_PF_HINT);
}

bool quirks_mend(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (is_knights_corner(instruction))
        return false;
    mend_base_of_address32(instruction, operands);
    mend_movsxd(instruction, operands);
    if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR)
        mend_near_branch(instruction, operands);
    if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || instruction->meta.category == ZYDIS_CATEGORY_SEGOP)
        mend_far_pointer(instruction, operands);
    return true;
}
