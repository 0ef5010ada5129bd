/* quirks.c: workarounds for defects of Zydis 4.0.0; no other file has any.
 *
 * SOURCES: zyantific/zydis issues 592 (fixed upstream after 4.1.1), 219 (PTWRITE) and 597 (MPX); notes on MVEX in
 * docs/facts.md; Intel SDM volume 2, 2.7 (EVEX.W outside 64-bit mode) and PTWRITE. */
#include "quirks.h"

#include "decode/encoding.h"
#include "decode/x86/flags.h"
#include "decode/x86/processor.h"

/* MOVSXD with a 16-bit destination: AMD processors read four bytes and use two, Intel processors read two (measured on
 * one of each, docs/facts.md). Zydis always reports four. */
static void fix_movsxd(const ZydisDecodedInstruction *instruction,
                       ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->mnemonic == ZYDIS_MNEMONIC_MOVSXD && instruction->operand_width == 16 && !processor_is_amd())
        operands[1].size = operands[1].element_size = 16;
}

/* 67h, ModRM.mod 0, SIB.base 5 and REX.B: the operand has no base register but a 32-bit displacement. Zydis reports
 * R13D as base and drops the displacement. */
static void fix_base_of_address32(const ZydisDecodedInstruction *instruction,
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

/* Far pointers in memory: AMD processors have no 64-bit offsets, not even with REX.W. Zydis reports Intel's operand. */
static void fix_far_pointer(const ZydisDecodedInstruction *instruction,
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

/* With 66h AMD processors execute a near branch in 64-bit mode with 16-bit operands, including what it reads and
 * pushes. Zydis applies that only to branches with a displacement. */
static void fix_near_branch(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->operand_width != 64 || !(instruction->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) ||
        instruction->raw.rex.W || !processor_is_amd())
        return;
    instruction->operand_width = 16;
    for (size_t i = 0; i < instruction->operand_count; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            operands[i].size = operands[i].element_size = 16;
}

/* Zydis accepts Knights Corner's encodings although that decoder mode is off; every later processor raises #UD. Zydis
 * numbers their ISA sets consecutively. */
static bool is_knights_corner(const ZydisDecodedInstruction *instruction)
{
    return instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
           (instruction->meta.isa_set >= ZYDIS_ISA_SET_KNCE && instruction->meta.isa_set <= ZYDIS_ISA_SET_KNC_PF_HINT);
}

/* PTWRITE with 66h raises #UD (SDM 2; seen on a Xeon of the fourth generation, zyantific/zydis issue 219). */
static bool is_ptwrite_with_66(const ZydisDecodedInstruction *instruction)
{
    if (instruction->mnemonic != ZYDIS_MNEMONIC_PTWRITE)
        return false;
    for (size_t i = 0; i < instruction->raw.prefix_count; i++)
        if (instruction->raw.prefixes[i].value == 0x66)
            return true;
    return false;
}

static bool is_among(uint8_t byte, const uint8_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == byte)
            return true;
    return false;
}

/* The number of legacy and REX prefixes. */
static size_t count_prefixes(enum segue_mode mode, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && (encoding_is_legacy_prefix(bytes[at]) || (mode == SEGUE_MODE_64 && encoding_is_rex(bytes[at]))))
        at++;
    return at;
}

/* 0F 1A and 0F 1B: without MPX, which every current kernel leaves off, all their forms are NOPs. With its MPX mode on,
 * Zydis refuses the forms that encode no bounds register. LOCK raises #UD in either case. */
static bool is_reserved_nop(const uint8_t *bytes, size_t size, size_t opcode)
{
    return size >= opcode + 2 && bytes[opcode] == 0x0f && (bytes[opcode + 1] & 0xfe) == 0x1a &&
           !is_among(0xf0, bytes, opcode);
}

/* VCVT[T]SH2[U]SI and VCVT[U]SI2SH: the processor ignores W outside 64-bit mode; Zydis 4.0.0 refuses it. */
static bool has_idle_w(enum segue_mode mode, const uint8_t *bytes, size_t size, size_t opcode)
{
    static const uint8_t conversions[] = {0x2a, 0x2c, 0x2d, 0x78, 0x79, 0x7b};
    /* P0: RXBR' 0 map; P1: W vvvv 1 pp. */
    return mode == SEGUE_MODE_32 && size >= opcode + 6 && bytes[opcode] == 0x62 && (bytes[opcode + 1] & 15) == 5 &&
           (bytes[opcode + 2] & 0x87) == 0x86 && is_among(bytes[opcode + 4], conversions, sizeof conversions);
}

enum quirks_reading quirks_read_again(enum segue_mode mode, const uint8_t *bytes, size_t size,
                                      uint8_t copy[SEGUE_INSN_BYTES])
{
    if (size > SEGUE_INSN_BYTES)
        size = SEGUE_INSN_BYTES;
    size_t opcode = count_prefixes(mode, bytes, size);
    for (size_t i = 0; i < size; i++)
        copy[i] = bytes[i];
    if (is_reserved_nop(bytes, size, opcode))
        return QUIRKS_WITHOUT_MPX;
    if (!has_idle_w(mode, bytes, size, opcode))
        return QUIRKS_REFUSED;
    copy[opcode + 2] &= 0x7f;
    return QUIRKS_OTHER_BYTES;
}

bool quirks_fix(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (is_knights_corner(instruction) || is_ptwrite_with_66(instruction))
        return false;
    fix_base_of_address32(instruction, operands);
    fix_movsxd(instruction, operands);
    if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR)
        fix_near_branch(instruction, operands);
    if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || instruction->meta.category == ZYDIS_CATEGORY_SEGOP)
        fix_far_pointer(instruction, operands);
    return true;
}

struct quirks_effects quirks_effects(const ZydisDecodedInstruction *instruction)
{
    const uint16_t source = 1u << SEGUE_RSI, destination = 1u << SEGUE_RDI;
    struct quirks_effects effects = {0};
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
        /* The vector instruction of the same name has none of them. */
        if (instruction->meta.category == ZYDIS_CATEGORY_STRINGOP)
            effects.registers = source | destination;
        break;
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
        effects.registers = destination;
        break;
    /* They clear the flags that they do not give a result in, as PTEST does. */
    case ZYDIS_MNEMONIC_VPTEST:
    case ZYDIS_MNEMONIC_VTESTPS:
    case ZYDIS_MNEMONIC_VTESTPD:
        effects.flags = FLAG_OVERFLOW | FLAG_SIGN | FLAG_ADJUST | FLAG_PARITY;
        break;
    default:
        break;
    }
    return effects;
}

/* F3 90 with REX.B: XCHG R8, RAX on the processors that were asked (docs/facts.md). Zydis says PAUSE. */
bool quirks_mistakes(const ZydisDecodedInstruction *instruction)
{
    return instruction->mnemonic == ZYDIS_MNEMONIC_PAUSE && instruction->raw.rex.B;
}
