/* predicates.c: rules on rows that terms cannot express. Zydis decides what an instruction would be without one of its
 * prefixes, or with other fields.
 *
 * SOURCES: Intel SDM volume 2, LOCK (what may be locked), 2.7 (EVEX). */
#include "predicates.h"

#include <string.h>

static bool is_accepted(const struct corpus_case *row)
{
    return row->zydis_answer.status == CORPUS_ACCEPTED;
}

static bool decode(const uint8_t *bytes, size_t size, struct corpus_zydis *zydis)
{
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &zydis->instruction, zydis->operands));
}

static bool is_prefix(uint8_t byte)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    return (byte & 0xf0) == 0x40 || memchr(prefixes, byte, sizeof prefixes);
}

/* The operand in memory, if it has a SIB byte and no base. */
static const ZydisDecodedOperand *without_base(const struct corpus_case *row, const struct corpus_shape *shape)
{
    const ZydisDecodedInstruction *instruction = &row->zydis.instruction;
    if (!is_accepted(row) || shape->mod != 0 || shape->rm != 4 || instruction->raw.sib.base != 5)
        return NULL;
    for (size_t i = 0; i < instruction->operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &row->zydis.operands[i];
        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.base == ZYDIS_REGISTER_NONE)
            return operand;
    }
    return NULL;
}

/* An index that looks like a base where a scale of 1 is not written. */
static bool has_unscaled_index(const struct corpus_case *row, const struct corpus_shape *shape)
{
    const ZydisDecodedOperand *operand = without_base(row, shape);
    return operand && operand->mem.index != ZYDIS_REGISTER_NONE && operand->mem.scale == 1;
}

static bool has_negative_absolute(const struct corpus_case *row, const struct corpus_shape *shape)
{
    const ZydisDecodedOperand *operand = without_base(row, shape);
    return operand && operand->mem.index == ZYDIS_REGISTER_NONE && operand->mem.disp.value < 0;
}

/* zyantific/zydis issue 592: Zydis reports R13D as the base, and the operand has no base. */
static bool has_address32_base5(const struct corpus_case *row, const struct corpus_shape *shape)
{
    const ZydisDecodedInstruction *instruction = &row->zydis.instruction;
    if (!is_accepted(row) || instruction->address_width != 32 || shape->mod != 0 || shape->rm != 4 ||
        instruction->raw.sib.base != 5)
        return false;
    for (size_t i = 0; i < instruction->operand_count_visible; i++)
        if (row->zydis.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            row->zydis.operands[i].mem.base == ZYDIS_REGISTER_R13D)
            return true;
    return false;
}

/* ModRM.rm is a mask register, whose extension bits have no effect. */
static bool has_mask_register(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    if (!is_accepted(row))
        return false;
    for (size_t i = 0; i < row->zydis.instruction.operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &row->zydis.operands[i];
        if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
            ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_MASK)
            return true;
    }
    return false;
}

static bool is_row_too_short(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    return is_accepted(row) && row->zydis_answer.length > row->row->length;
}

static bool is_row_too_long(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    return is_accepted(row) && row->zydis_answer.length < row->row->length;
}

/* The instructions that the SDM lists under LOCK; of them, those that write memory. */
static bool can_be_locked(const struct corpus_zydis *zydis)
{
    static const ZydisMnemonic lockable[] = {
        ZYDIS_MNEMONIC_ADC,        ZYDIS_MNEMONIC_ADD,  ZYDIS_MNEMONIC_AND,     ZYDIS_MNEMONIC_BTC,
        ZYDIS_MNEMONIC_BTR,        ZYDIS_MNEMONIC_BTS,  ZYDIS_MNEMONIC_CMPXCHG, ZYDIS_MNEMONIC_CMPXCHG8B,
        ZYDIS_MNEMONIC_CMPXCHG16B, ZYDIS_MNEMONIC_DEC,  ZYDIS_MNEMONIC_INC,     ZYDIS_MNEMONIC_NEG,
        ZYDIS_MNEMONIC_NOT,        ZYDIS_MNEMONIC_OR,   ZYDIS_MNEMONIC_SBB,     ZYDIS_MNEMONIC_SUB,
        ZYDIS_MNEMONIC_XADD,       ZYDIS_MNEMONIC_XCHG, ZYDIS_MNEMONIC_XOR,
    };
    const ZydisDecodedOperand *first = &zydis->operands[0];
    bool is_listed = false;
    for (size_t i = 0; i < sizeof lockable / sizeof *lockable; i++)
        is_listed |= zydis->instruction.mnemonic == lockable[i];
    return is_listed && first->type == ZYDIS_OPERAND_TYPE_MEMORY && (first->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
}

/* Zydis refuses it because of LOCK: without it, it is an instruction that cannot be locked, or not an instruction. */
static bool is_not_lockable(const struct corpus_case *row, const struct corpus_shape *shape)
{
    uint8_t bytes[CORPUS_SLOT_BYTES];
    struct corpus_zydis zydis;
    size_t size = 0, at = 0;
    for (; at < CORPUS_SLOT_BYTES && is_prefix(row->slot[at]); at++)
        if (row->slot[at] != 0xf0)
            bytes[size++] = row->slot[at];
    memcpy(bytes + size, row->slot + at, CORPUS_SLOT_BYTES - at);
    (void)shape;
    return !decode(bytes, size + CORPUS_SLOT_BYTES - at, &zydis) || !can_be_locked(&zydis);
}

/* An EVEX opcode that Zydis knows in this map, with this pp, but with other fields: another W, vector length,
 * broadcast, mask or second source. */
static bool is_known_with_other_fields(const struct corpus_case *row, const struct corpus_shape *shape)
{
    uint8_t bytes[CORPUS_SLOT_BYTES];
    struct corpus_zydis zydis;
    size_t at = 0;
    (void)shape;
    while (at < CORPUS_ROW_BYTES && is_prefix(row->slot[at]))
        at++;
    if (row->slot[at] != 0x62)
        return false;
    for (unsigned fields = 0; fields < 64; fields++) {
        memcpy(bytes, row->slot, sizeof bytes);
        /* Payload bytes: W vvvv 1 pp; z L'L b V' aaa. */
        bytes[at + 2] = (uint8_t)((bytes[at + 2] & 0x7b) | (fields & 1) << 7 | 4);
        if (fields & 2)
            bytes[at + 2] |= 0x78;
        bytes[at + 3] = (uint8_t)((fields >> 2 & 3) << 5 | (fields >> 4 & 1) << 4 | 8 | (fields >> 5 & 1));
        if (decode(bytes, sizeof bytes, &zydis))
            return true;
    }
    return false;
}

/* Where the byte behind the legacy prefixes stands. */
static size_t find_encoding(const struct corpus_case *row)
{
    size_t at = 0;
    while (at < CORPUS_ROW_BYTES && is_prefix(row->slot[at]))
        at++;
    return at;
}

/* Whether Zydis would accept the row with other values of a few bits of byte `at`, counted from the encoding's
 * first. */
static bool accepted_with(const struct corpus_case *row, size_t at, uint8_t clear, uint8_t set)
{
    uint8_t bytes[CORPUS_SLOT_BYTES];
    struct corpus_zydis zydis;
    memcpy(bytes, row->slot, sizeof bytes);
    at += find_encoding(row);
    bytes[at] = (uint8_t)((bytes[at] & ~clear) | set);
    return decode(bytes, sizeof bytes, &zydis);
}

/* A VEX opcode that Zydis knows in this map, with this pp, but with another W, vector length or second source, or
 * another kind of ModRM. */
static bool is_vex_known_with_other_fields(const struct corpus_case *row, const struct corpus_shape *shape)
{
    uint8_t bytes[CORPUS_SLOT_BYTES];
    struct corpus_zydis zydis;
    size_t at = find_encoding(row);
    if (row->slot[at] != 0xc4)
        return shape->map == 1;
    for (unsigned fields = 0; fields < 16; fields++) {
        memcpy(bytes, row->slot, sizeof bytes);
        /* W vvvv L pp */
        bytes[at + 2] = (uint8_t)((bytes[at + 2] & 0x03) | (fields & 1) << 7 | (fields & 2) << 1 |
                                  (fields & 4 ? 0x78 : bytes[at + 2] & 0x78));
        if (fields & 8)
            bytes[at + 4] ^= 0xc0;
        if (decode(bytes, sizeof bytes, &zydis))
            return true;
    }
    return false;
}

/* An EVEX instruction that Zydis knows, with one of APX's registers in its address (B4, X4), or, with U clear,
 * AVX10.2's rounding of 256-bit vectors. */
static bool is_known_but_for_apx(const struct corpus_case *row, const struct corpus_shape *shape)
{
    uint8_t bytes[CORPUS_SLOT_BYTES];
    struct corpus_zydis zydis;
    size_t at = find_encoding(row);
    if (shape->encoding != CORPUS_ENCODING_EVEX || (!shape->b4 && shape->u))
        return false;
    memcpy(bytes, row->slot, sizeof bytes);
    bytes[at + 1] &= (uint8_t)~8;
    bytes[at + 2] |= 4;
    return decode(bytes, sizeof bytes, &zydis);
}

/* Fields that the manual reserves and processors ignore: with them cleared, Zydis accepts. */
static bool is_evex_but_for_z(const struct corpus_case *row, const struct corpus_shape *shape)
{
    return shape->encoding == CORPUS_ENCODING_EVEX && shape->z && accepted_with(row, 3, 0x80, 0);
}

static bool is_evex_but_for_b(const struct corpus_case *row, const struct corpus_shape *shape)
{
    return shape->encoding == CORPUS_ENCODING_EVEX && shape->b && accepted_with(row, 3, 0x10, 0);
}

static bool is_vex_but_for_w(const struct corpus_case *row, const struct corpus_shape *shape)
{
    return shape->encoding == CORPUS_ENCODING_VEX && row->slot[find_encoding(row)] == 0xc4 &&
           accepted_with(row, 2, shape->w ? 0x80 : 0, shape->w ? 0 : 0x80);
}

/* R of VEX, and the upper bit of vvvv, where a mask register is named: both are inverted. */
static bool is_vex_but_for_extension(const struct corpus_case *row, const struct corpus_shape *shape)
{
    bool long_form = row->slot[find_encoding(row)] == 0xc4;
    return shape->encoding == CORPUS_ENCODING_VEX &&
           (accepted_with(row, 1, 0, 0x80) || accepted_with(row, long_form ? 2 : 1, 0, 0x40));
}

/* EVEX.V' stands for one of the upper sixteen registers. */
static bool has_upper_second_source(const struct corpus_case *row, const struct corpus_shape *shape)
{
    (void)shape;
    return is_accepted(row) && row->zydis.instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX &&
           !(row->slot[row->zydis.instruction.raw.evex.offset + 3] & 8);
}

/* Stores the row's bytes without the prefixes named, and with `added` in front if it is a prefix; returns how many
 * there are. */
static size_t with_other_prefixes(const struct corpus_case *row, const char *dropped, uint8_t added,
                                  uint8_t bytes[CORPUS_SLOT_BYTES])
{
    size_t size = 0;
    if (added)
        bytes[size++] = added;
    for (size_t at = 0; at < CORPUS_SLOT_BYTES && size < CORPUS_SLOT_BYTES; at++) {
        bool in_prefixes = at == 0 || is_prefix(row->slot[at - 1]);
        if (in_prefixes && row->slot[at] && strchr(dropped, row->slot[at]))
            continue;
        bytes[size++] = row->slot[at];
        if (!is_prefix(row->slot[at]))
            dropped = "";
    }
    return size;
}

/* Capstone answers as Zydis would without the mandatory prefix, or with 66. */
static bool is_capstone_by_another_prefix(const struct corpus_case *row, const struct corpus_shape *shape)
{
    static const struct {
        const char *dropped;
        uint8_t added;
    } ways[] = {{"\x66", 0}, {"\xf2\xf3", 0}, {"\x66\xf2\xf3", 0}, {"\x66\xf2\xf3", 0x66}, {"\xf2", 0}, {"\xf3", 0}};
    const struct corpus_answer *capstone = &row->answers[CORPUS_CAPSTONE];
    (void)shape;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        uint8_t bytes[CORPUS_SLOT_BYTES];
        struct corpus_zydis zydis;
        struct corpus_answer answer;
        size_t size = with_other_prefixes(row, ways[i].dropped, ways[i].added, bytes);
        memset(bytes + size, 0x90, CORPUS_SLOT_BYTES - size);
        corpus_zydis_answer(bytes, &zydis, &answer);
        if (answer.status == capstone->status &&
            (answer.status == CORPUS_REFUSED || answer.mnemonic == capstone->mnemonic))
            return true;
    }
    return false;
}

const struct corpus_predicate corpus_predicates[] = {
    {"address32-base5", has_address32_base5},
    {"unscaled-index", has_unscaled_index},
    {"negative-absolute", has_negative_absolute},
    {"mask-register", has_mask_register},
    {"row-too-short", is_row_too_short},
    {"row-too-long", is_row_too_long},
    {"not-lockable", is_not_lockable},
    {"by-another-prefix", is_capstone_by_another_prefix},
    {"upper-second-source", has_upper_second_source},
    {"known-with-other-fields", is_known_with_other_fields},
    {"vex-known-with-other-fields", is_vex_known_with_other_fields},
    {"but-for-apx", is_known_but_for_apx},
    {"but-for-z", is_evex_but_for_z},
    {"but-for-b", is_evex_but_for_b},
    {"but-for-w", is_vex_but_for_w},
    {"but-for-extension", is_vex_but_for_extension},
    {NULL, NULL},
};
