/* effects.c: which general registers and flags an instruction uses (see effects.h).
 *
 * SOURCES: Intel SDM volume 2, each instruction's page; AMD APM volume 3; Zydis' operands and flags.
 * ASSUMPTIONS: Zydis, with quirks.c, lists every general register that an instruction uses, hidden ones too, and every
 * flag that it tests or may change (displaced_native holds both against the processor). AND, OR, XOR and TEST clear the
 * adjust flag, which the manuals leave undefined: every known processor does, and a test asserts it. */
#include "effects.h"

#include "decode/operands/registers.h"
#include "decode/scratch.h"
#include "decode/zydis/quirks.h"

/* Instructions that give all six arithmetic flags values that depend on their operands alone, whatever the operands
 * are. Shifts and rotations do not: with a count of zero they leave the flags. */
static const bool overwrites_flags[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    [ZYDIS_MNEMONIC_ADD] = true,     [ZYDIS_MNEMONIC_SUB] = true,      [ZYDIS_MNEMONIC_CMP] = true,
    [ZYDIS_MNEMONIC_NEG] = true,     [ZYDIS_MNEMONIC_XADD] = true,     [ZYDIS_MNEMONIC_CMPXCHG] = true,
    [ZYDIS_MNEMONIC_AND] = true,     [ZYDIS_MNEMONIC_OR] = true,       [ZYDIS_MNEMONIC_XOR] = true,
    [ZYDIS_MNEMONIC_TEST] = true,    [ZYDIS_MNEMONIC_POPCNT] = true,   [ZYDIS_MNEMONIC_PTEST] = true,
    [ZYDIS_MNEMONIC_VPTEST] = true,  [ZYDIS_MNEMONIC_COMISS] = true,   [ZYDIS_MNEMONIC_COMISD] = true,
    [ZYDIS_MNEMONIC_UCOMISS] = true, [ZYDIS_MNEMONIC_UCOMISD] = true,  [ZYDIS_MNEMONIC_VCOMISS] = true,
    [ZYDIS_MNEMONIC_VCOMISD] = true, [ZYDIS_MNEMONIC_VUCOMISS] = true, [ZYDIS_MNEMONIC_VUCOMISD] = true,
    [ZYDIS_MNEMONIC_CMPSB] = true,   [ZYDIS_MNEMONIC_CMPSW] = true,    [ZYDIS_MNEMONIC_CMPSD] = true,
    [ZYDIS_MNEMONIC_CMPSQ] = true,   [ZYDIS_MNEMONIC_SCASB] = true,    [ZYDIS_MNEMONIC_SCASW] = true,
    [ZYDIS_MNEMONIC_SCASD] = true,   [ZYDIS_MNEMONIC_SCASQ] = true,
};

/* The same, from the carry flag too. */
static const bool adds_carry[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    [ZYDIS_MNEMONIC_ADC] = true,
    [ZYDIS_MNEMONIC_SBB] = true,
};

/* The same for all but the carry flag, which they keep. */
static const bool keeps_carry[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    [ZYDIS_MNEMONIC_INC] = true,
    [ZYDIS_MNEMONIC_DEC] = true,
};

/* Instructions whose register result may be the old value: of a source of zero, of a selector that may not be used,
 * where the processor runs them as a NOP, or where an older processor runs another instruction. */
static const bool may_keep_result[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    [ZYDIS_MNEMONIC_BSF] = true,    [ZYDIS_MNEMONIC_BSR] = true,    [ZYDIS_MNEMONIC_LZCNT] = true,
    [ZYDIS_MNEMONIC_TZCNT] = true,  [ZYDIS_MNEMONIC_LAR] = true,    [ZYDIS_MNEMONIC_LSL] = true,
    [ZYDIS_MNEMONIC_RDSSPD] = true, [ZYDIS_MNEMONIC_RDSSPQ] = true,
};

static bool is_repeated(const ZydisDecodedInstruction *instruction)
{
    return instruction->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
}

static void read_register(struct effects *effects, ZydisRegister reg)
{
    struct register_place place;
    if (register_find(reg, &place) && place.number < SEGUE_RIP)
        effects->reads |= (uint16_t)(1u << place.number);
}

/* Moves between a general register and a segment register may leave the upper part of a register as it was. */
static bool names_segment(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands)
{
    for (size_t i = 0; i < instruction->operand_count_visible; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[i].reg.value >= ZYDIS_REGISTER_ES &&
            operands[i].reg.value <= ZYDIS_REGISTER_GS)
            return true;
    return false;
}

static void add_register(const ZydisDecodedOperand *operand, bool may_keep, struct effects *effects)
{
    struct register_place place;
    if (!register_find(operand->reg.value, &place) || place.number >= SEGUE_RIP)
        return;
    uint16_t bit = (uint16_t)(1u << place.number);
    bool whole = place.size >= 4 && !may_keep && !(operand->actions & ZYDIS_OPERAND_ACTION_CONDWRITE);
    if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        effects->writes |= bit;
    if (!(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) || !whole ||
        (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ))
        effects->reads |= bit;
    if (place.number == SEGUE_RSP)
        effects->uses_stack = true;
}

static void add_memory(const ZydisDecodedOperand *operand, struct effects *effects)
{
    read_register(effects, operand->mem.base);
    /* A vector of indices is not among the general registers. */
    read_register(effects, operand->mem.index);
    if (operand->mem.base == ZYDIS_REGISTER_RSP && operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        effects->uses_stack = true;
}

static void add_flags(const ZydisDecodedInstruction *instruction, struct effects *effects)
{
    const ZydisAccessedFlags *flags = instruction->cpu_flags;
    if (!flags)
        return;
    uint32_t read = flags->tested & FLAGS_ARITHMETIC, unlisted = quirks_effects(instruction).flags;
    uint32_t written = (flags->modified | flags->set_0 | flags->set_1 | flags->undefined | unlisted) & FLAGS_ARITHMETIC;
    bool may_keep = !overwrites_flags[instruction->mnemonic] && !adds_carry[instruction->mnemonic] &&
                    !keeps_carry[instruction->mnemonic];
    if (is_repeated(instruction) || may_keep)
        read |= written;
    effects->flags_read = (uint16_t)read;
    effects->flags_written = (uint16_t)written;
}

void effects_find(const struct decode_scratch *decoded, struct effects *effects)
{
    const ZydisDecodedInstruction *instruction = &decoded->instruction;
    bool may_keep = is_repeated(instruction) || may_keep_result[instruction->mnemonic] ||
                    names_segment(instruction, decoded->operands);
    uint16_t unlisted = quirks_effects(instruction).registers;
    *effects = (struct effects){.reads = unlisted, .writes = unlisted};
    for (size_t i = 0; i < instruction->operand_count; i++) {
        if (decoded->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
            add_register(&decoded->operands[i], may_keep, effects);
        else if (decoded->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            add_memory(&decoded->operands[i], effects);
    }
    add_flags(instruction, effects);
}

void effects_everything(struct effects *effects)
{
    *effects = (struct effects){
        .reads = UINT16_MAX,
        .writes = UINT16_MAX,
        .flags_read = FLAGS_ARITHMETIC,
        .flags_written = FLAGS_ARITHMETIC,
        .uses_stack = true,
    };
}
