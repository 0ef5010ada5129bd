/* decode.c: decodes bytes into a struct segue_insn. Zydis decodes. The result is small enough to be cached and copied,
 * and describes each address as a formula over registers, so that accesses can be computed without decoding again.
 *
 * ASSUMPTIONS: an instruction depends on its own bytes only, never on those after it. So bytes that compare equal over
 * the length of a decoded instruction are that instruction. */
#include <Zydis/Zydis.h>
#include <segue/decode.h>
#include <string.h>

#include "decode/encoding.h"
#include "decode/mnemonics/classes.h"
#include "decode/mnemonics/mnemonics.h"
#include "decode/operands/descriptors.h"
#include "decode/operands/registers.h"
#include "host.h"
#include "orders.h"
#include "scratch.h"

/* Recognises the moves that the move engine carries out: one memory operand, and a general register or an immediate. */
static void recognise_move(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                           struct segue_insn *insn)
{
    static const struct {
        ZydisMnemonic mnemonic;
        uint8_t load;
    } moves[] = {
        {ZYDIS_MNEMONIC_MOV, INSN_MOVE_LOAD},
        {ZYDIS_MNEMONIC_MOVZX, INSN_MOVE_LOAD},
        {ZYDIS_MNEMONIC_MOVSX, INSN_MOVE_LOAD_SIGNED},
        {ZYDIS_MNEMONIC_MOVSXD, INSN_MOVE_LOAD_SIGNED},
    };
    struct register_place place;
    uint8_t load = INSN_MOVE_NONE;
    if (insn->class_ != SEGUE_CLASS_MOVE || insn->memory_count != 1)
        return;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (instruction->mnemonic == moves[i].mnemonic)
            load = moves[i].load;
    if (load == INSN_MOVE_NONE || instruction->operand_count_visible != 2)
        return;

    bool loads = operands[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
    const ZydisDecodedOperand *other = &operands[loads ? 0 : 1];
    if (other->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        orders_in(insn)->move.kind = INSN_MOVE_STORE_IMMEDIATE;
        orders_in(insn)->move.immediate = other->imm.value.s;
    } else if (other->type == ZYDIS_OPERAND_TYPE_REGISTER && register_find(other->reg.value, &place)) {
        orders_in(insn)->move.kind = loads ? load : INSN_MOVE_STORE;
        orders_in(insn)->move.reg = place.number;
        orders_in(insn)->move.reg_size = place.size;
        orders_in(insn)->move.reg_shift = place.shift;
    }
}

/* Finds the segment register among the first two operands; false if neither is one. */
static bool find_segment(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                         unsigned *place, uint8_t *number)
{
    for (*place = 0; *place < 2 && *place < instruction->operand_count_visible; (*place)++) {
        const ZydisDecodedOperand *operand = &operands[*place];
        if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER || operand->reg.value < ZYDIS_REGISTER_ES ||
            operand->reg.value > ZYDIS_REGISTER_GS)
            continue;
        *number = (uint8_t)(operand->reg.value - ZYDIS_REGISTER_ES);
        return true;
    }
    return false;
}

/* MOV, PUSH and POP of a segment register. */
static void recognise_segment_transfer(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                                       struct segue_insn *insn)
{
    struct insn_transfer transfer = {.kind = INSN_TRANSFER_NONE};
    unsigned place;
    if (insn->memory_count != 1 || !find_segment(instruction, operands, &place, &transfer.reg))
        return;
    if (instruction->mnemonic == ZYDIS_MNEMONIC_MOV)
        transfer.kind = place == 0 ? INSN_TRANSFER_LOAD_SEGMENT : INSN_TRANSFER_STORE_SEGMENT;
    if (instruction->mnemonic == ZYDIS_MNEMONIC_PUSH)
        transfer.kind = INSN_TRANSFER_PUSH_SEGMENT;
    if (instruction->mnemonic == ZYDIS_MNEMONIC_POP)
        transfer.kind = INSN_TRANSFER_POP_SEGMENT;
    if (transfer.kind != INSN_TRANSFER_NONE)
        orders_in(insn)->transfer = transfer;
}

static uint8_t far_kind(uint8_t near)
{
    switch (near) {
    case INSN_TRANSFER_CALL:
        return INSN_TRANSFER_CALL_FAR;
    case INSN_TRANSFER_JUMP:
        return INSN_TRANSFER_JUMP_FAR;
    case INSN_TRANSFER_RETURN:
        return INSN_TRANSFER_RETURN_FAR;
    default:
        return INSN_TRANSFER_NONE;
    }
}

/* Recognises the transfers that the stack engine carries out. */
static void recognise_transfer(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                               struct segue_insn *insn)
{
    static const struct {
        ZydisMnemonic mnemonic;
        uint8_t kind;
    } transfers[] = {
        {ZYDIS_MNEMONIC_PUSH, INSN_TRANSFER_PUSH},
        {ZYDIS_MNEMONIC_PUSHFQ, INSN_TRANSFER_PUSH_FLAGS},
        {ZYDIS_MNEMONIC_PUSHFD, INSN_TRANSFER_PUSH_FLAGS},
        {ZYDIS_MNEMONIC_PUSHF, INSN_TRANSFER_PUSH_FLAGS},
        {ZYDIS_MNEMONIC_POP, INSN_TRANSFER_POP},
        {ZYDIS_MNEMONIC_CALL, INSN_TRANSFER_CALL},
        {ZYDIS_MNEMONIC_JMP, INSN_TRANSFER_JUMP},
        {ZYDIS_MNEMONIC_RET, INSN_TRANSFER_RETURN},
        {ZYDIS_MNEMONIC_LEAVE, INSN_TRANSFER_LEAVE},
        {ZYDIS_MNEMONIC_POPFQ, INSN_TRANSFER_POP_FLAGS},
        {ZYDIS_MNEMONIC_POPFD, INSN_TRANSFER_POP_FLAGS},
        {ZYDIS_MNEMONIC_POPF, INSN_TRANSFER_POP_FLAGS},
        {ZYDIS_MNEMONIC_ENTER, INSN_TRANSFER_ENTER},
        {ZYDIS_MNEMONIC_IRETD, INSN_TRANSFER_INTERRUPT_RETURN},
        {ZYDIS_MNEMONIC_IRETQ, INSN_TRANSFER_INTERRUPT_RETURN},
    };
    struct register_place place;
    struct insn_transfer transfer = {.reg = SEGUE_REGISTER_NONE};
    if (insn->mode != HOST_MODE)
        return;
    if (insn->class_ == SEGUE_CLASS_SEGMENT)
        recognise_segment_transfer(instruction, operands, insn);
    if (insn->class_ != SEGUE_CLASS_STACK && insn->class_ != SEGUE_CLASS_BRANCH)
        return;
    for (size_t i = 0; i < sizeof transfers / sizeof *transfers; i++)
        if (instruction->mnemonic == transfers[i].mnemonic)
            transfer.kind = transfers[i].kind;
    /* In 32-bit code it pops other words. */
    if (transfer.kind == INSN_TRANSFER_INTERRUPT_RETURN && insn->mode != SEGUE_MODE_64)
        return;
    if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && transfer.kind != INSN_TRANSFER_INTERRUPT_RETURN)
        transfer.kind = insn->mode == SEGUE_MODE_64 ? far_kind(transfer.kind) : INSN_TRANSFER_NONE;
    if (transfer.kind == INSN_TRANSFER_NONE)
        return;
    if (instruction->operand_count_visible > 0 && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        transfer.is_immediate = true;
        transfer.value = operands[0].imm.value.s;
    } else if (instruction->operand_count_visible > 0 && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
        if (!register_find(operands[0].reg.value, &place))
            return;
        transfer.reg = place.number;
    }
    orders_in(insn)->transfer = transfer;
}

static bool has_memory(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands)
{
    for (size_t i = 0; i < instruction->operand_count_visible; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            return true;
    return false;
}

uint8_t decode_flags(const struct decode_scratch *decoded)
{
    const ZydisDecodedInstruction *instruction = &decoded->instruction;
    ZydisInstructionAttributes attributes = instruction->attributes;
    uint8_t flags = 0;
    if ((attributes & ZYDIS_ATTRIB_HAS_LOCK) ||
        (instruction->mnemonic == ZYDIS_MNEMONIC_XCHG && has_memory(instruction, decoded->operands)))
        flags |= SEGUE_INSN_LOCKED;
    if (attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
        flags |= SEGUE_INSN_REPEATED;
    if ((flags & SEGUE_INSN_REPEATED) && (attributes & ZYDIS_ATTRIB_ACCEPTS_REPE))
        flags |= SEGUE_INSN_CONDITIONAL;
    return flags;
}

static bool names_segment(enum segue_mode mode, uint8_t byte)
{
    return byte == 0x64 || byte == 0x65 || (encoding_is_null_segment(byte) && mode != SEGUE_MODE_64);
}

/* Of several segment prefixes the last one takes effect. */
static uint8_t find_segment_prefix(const ZydisDecodedInstruction *instruction, const struct segue_insn *insn)
{
    uint8_t found = SEGUE_NO_PREFIX;
    /* Fast path: most instructions have no prefix, or only REX. */
    if (instruction->raw.prefix_count == ((instruction->attributes & ZYDIS_ATTRIB_HAS_REX) != 0))
        return found;
    for (uint8_t i = 0; i < instruction->raw.prefix_count; i++)
        if (names_segment((enum segue_mode)insn->mode, insn->bytes[i]))
            found = i;
    return found;
}

/* The bytes of the instruction, and zeros after them. */
static void copy_bytes(const uint8_t *bytes, size_t size, unsigned length, struct segue_insn *insn)
{
    static const uint64_t bytes_below[] = {
        0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, UINT64_MAX,
    };
    uint64_t low, high;
    if (size < SEGUE_INSN_BYTES) {
        memcpy(insn->bytes, bytes, length);
        return;
    }
    /* Two overlapping copies of eight bytes: the second begins with the last byte of the first. */
    memcpy(&low, bytes, 8);
    memcpy(&high, bytes + 7, 8);
    low &= bytes_below[length < 8 ? length : 8];
    high &= bytes_below[length < 7 ? 0 : length - 7];
    memcpy(insn->bytes + 7, &high, 8);
    memcpy(insn->bytes, &low, 8);
}

enum segue_status decode_in(struct decode_scratch *scratch, enum segue_mode mode, const void *bytes, size_t size,
                            struct segue_insn *insn)
{
    /* Assigned from a constant, since a compiler may clear memory with REP STOS, which is slow to start. */
    static const struct segue_insn empty;
    ZydisDecodedInstruction *instruction = &scratch->instruction;
    ZydisDecodedOperand *operands = scratch->operands;
    if (!bytes || !insn || (mode != SEGUE_MODE_64 && mode != SEGUE_MODE_32))
        return SEGUE_INVALID;
    if (size == 0)
        return SEGUE_TRUNCATED;
    enum segue_status status = zydis_decode(mode, bytes, size, OPERANDS_NEEDED, instruction, operands);
    if (status != SEGUE_OK)
        return status;

    *insn = empty;
    copy_bytes(bytes, size, instruction->length, insn);
    insn->length = instruction->length;
    insn->mnemonic = mnemonic_of_zydis(instruction->mnemonic);
    insn->mode = (uint8_t)mode;
    insn->address_size = instruction->address_width / 8;
    insn->flags = decode_flags(scratch);
    insn->segment_prefix = find_segment_prefix(instruction, insn);
    descriptors_make(instruction, operands, insn);
    insn->class_ = (uint8_t)classes_find(instruction, operands, insn);
    recognise_move(instruction, operands, insn);
    recognise_transfer(instruction, operands, insn);
    return SEGUE_OK;
}

enum segue_status segue_decode(enum segue_mode mode, const void *bytes, size_t size, struct segue_insn *insn)
{
    struct decode_scratch scratch;
    return decode_in(&scratch, mode, bytes, size, insn);
}
