/* decode.c: bytes become a struct segue_insn. Zydis decodes; what is kept is small enough to be cached and copied, and
 * tells addresses as formulas, so that the accesses can be computed without decoding again.
 *
 * ASSUMPTIONS: an instruction depends on its own bytes alone, never on those after it; so bytes that compare equal over
 * the length of a decoded instruction are that instruction. */
#include <Zydis/Zydis.h>
#include <segue/decode.h>
#include <string.h>

#include "quirks.h"
#include "registers.h"

/* What ZydisDecoderInit makes for the two modes (a test compares), as constants: so decoding needs no initialisation.
 */
static const ZydisDecoder decoders[] = {
    [SEGUE_MODE_64] = {ZYDIS_MACHINE_MODE_LONG_64,
                       ZYDIS_STACK_WIDTH_64,
                       {[ZYDIS_DECODER_MODE_MPX] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_CET] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_LZCNT] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_TZCNT] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_CLDEMOTE] = ZYAN_TRUE}},
    [SEGUE_MODE_32] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                       ZYDIS_STACK_WIDTH_32,
                       {[ZYDIS_DECODER_MODE_MPX] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_CET] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_LZCNT] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_TZCNT] = ZYAN_TRUE,
                        [ZYDIS_DECODER_MODE_CLDEMOTE] = ZYAN_TRUE}},
};

static const uint8_t segments[] = {SEGUE_SEGMENT_ES, SEGUE_SEGMENT_CS, SEGUE_SEGMENT_SS,
                                   SEGUE_SEGMENT_DS, SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS};

/* Operands of these are hints: they never fault, so they are no accesses. */
static bool is_hint(const ZydisDecodedInstruction *instruction)
{
    switch (instruction->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
        return true;
    default:
        return false;
    }
}

/* Zydis names the stack operand of PUSH and CALL [rsp]; the processor moves the stack pointer first. POP computes the
 * address of an explicit operand after it has moved it. */
static void adjust_for_stack(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operand,
                             struct segue_memory_operand *memory)
{
    if (memory->base != SEGUE_RSP)
        return;
    if (operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && memory->direction == SEGUE_WRITE)
        memory->displacement -= memory->size;
    if (operand->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && instruction->mnemonic == ZYDIS_MNEMONIC_POP)
        memory->displacement += memory->size;
}

static void memory_operand(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operand,
                           struct segue_memory_operand *memory)
{
    const ZydisDecodedOperandMem *mem = &operand->mem;
    struct register_place place;
    memset(memory, 0, sizeof *memory);
    memory->segment = segments[mem->segment - ZYDIS_REGISTER_ES];
    memory->base = register_find(mem->base, &place) ? place.number : SEGUE_REGISTER_NONE;
    memory->index = SEGUE_REGISTER_NONE;
    if (mem->type == ZYDIS_MEMOP_TYPE_VSIB) {
        memory->addressing = SEGUE_ADDRESSING_VECTOR;
        memory->index = (uint8_t)ZydisRegisterGetId(mem->index);
        memory->scale = mem->scale;
    } else if (register_find(mem->index, &place)) {
        memory->index = place.number;
        memory->scale = mem->scale;
    }
    memory->direction = (uint8_t)(((operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ? SEGUE_READ : 0) |
                                  ((operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ? SEGUE_WRITE : 0));
    memory->size = (uint16_t)(operand->size / 8);
    memory->displacement = mem->disp.has_displacement ? mem->disp.value : 0;
    adjust_for_stack(instruction, operand, memory);
}

/* Collects the operands that are read or written: what is only read first, as the processor does. */
static void memory_operands(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                            struct segue_insn *insn)
{
    if (is_hint(instruction))
        return;
    for (int writing = 0; writing < 2; writing++) {
        for (size_t i = 0; i < instruction->operand_count && insn->memory_count < SEGUE_MEMORY_OPERANDS; i++) {
            const ZydisDecodedOperand *operand = &operands[i];
            bool writes = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
            if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY || operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
                !operand->actions || writes != (writing == 1))
                continue;
            memory_operand(instruction, operand, &insn->memory[insn->memory_count++]);
        }
    }
}

/* Recognises the moves that the move engine does: one memory operand, and a general register or an immediate. */
static void recognise_move(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                           struct segue_insn *insn)
{
    static const struct {
        ZydisMnemonic mnemonic;
        uint8_t load;
    } moves[] = {
        {ZYDIS_MNEMONIC_MOV, SEGUE_MOVE_LOAD},
        {ZYDIS_MNEMONIC_MOVZX, SEGUE_MOVE_LOAD},
        {ZYDIS_MNEMONIC_MOVSX, SEGUE_MOVE_LOAD_SIGNED},
        {ZYDIS_MNEMONIC_MOVSXD, SEGUE_MOVE_LOAD_SIGNED},
    };
    struct register_place place;
    uint8_t load = SEGUE_MOVE_NONE;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (instruction->mnemonic == moves[i].mnemonic)
            load = moves[i].load;
    if (load == SEGUE_MOVE_NONE || insn->memory_count != 1 || instruction->operand_count_visible != 2)
        return;

    bool loads = operands[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
    const ZydisDecodedOperand *other = &operands[loads ? 0 : 1];
    if (other->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        insn->move.kind = SEGUE_MOVE_STORE_IMMEDIATE;
        insn->move.immediate = other->imm.value.s;
    } else if (other->type == ZYDIS_OPERAND_TYPE_REGISTER && register_find(other->reg.value, &place)) {
        insn->move.kind = loads ? load : SEGUE_MOVE_STORE;
        insn->move.reg = place.number;
        insn->move.reg_size = place.size;
        insn->move.reg_shift = place.shift;
    }
}

static uint8_t facts(const ZydisDecodedInstruction *instruction, const struct segue_insn *insn)
{
    uint8_t flags = 0;
    if ((instruction->attributes & ZYDIS_ATTRIB_HAS_LOCK) ||
        (instruction->mnemonic == ZYDIS_MNEMONIC_XCHG && insn->memory_count > 0))
        flags |= SEGUE_INSN_LOCKED;
    if (instruction->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
        flags |= SEGUE_INSN_REPEATED;
    return flags;
}

static bool names_segment(enum segue_mode mode, uint8_t byte)
{
    bool is_null_in_64 = byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e;
    return byte == 0x64 || byte == 0x65 || (is_null_in_64 && mode != SEGUE_MODE_64);
}

/* The last one counts. */
static uint8_t find_segment_prefix(const ZydisDecodedInstruction *instruction, const struct segue_insn *insn)
{
    uint8_t found = SEGUE_NO_PREFIX;
    for (uint8_t i = 0; i < instruction->raw.prefix_count; i++)
        if (names_segment((enum segue_mode)insn->mode, insn->bytes[i]))
            found = i;
    return found;
}

enum segue_status segue_decode(enum segue_mode mode, const void *bytes, size_t size, struct segue_insn *insn)
{
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!bytes || !insn || (size_t)mode >= sizeof decoders / sizeof *decoders)
        return SEGUE_INVALID;
    if (size == 0)
        return SEGUE_TRUNCATED;
    ZyanStatus status = ZydisDecoderDecodeFull(&decoders[mode], bytes, size, &instruction, operands);
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return size < SEGUE_INSN_BYTES ? SEGUE_TRUNCATED : SEGUE_UNDEFINED;
    if (!ZYAN_SUCCESS(status) || !quirks_mend(&instruction, operands))
        return SEGUE_UNDEFINED;

    memset(insn, 0, sizeof *insn);
    memcpy(insn->bytes, bytes, instruction.length);
    insn->length = instruction.length;
    insn->mnemonic = (uint16_t)instruction.mnemonic;
    insn->mode = (uint8_t)mode;
    insn->address_size = instruction.address_width / 8;
    insn->segment_prefix = find_segment_prefix(&instruction, insn);
    memory_operands(&instruction, operands, insn);
    recognise_move(&instruction, operands, insn);
    insn->flags = facts(&instruction, insn);
    return SEGUE_OK;
}

const char *segue_mnemonic_name(unsigned mnemonic)
{
    const char *name = mnemonic ? ZydisMnemonicGetString((ZydisMnemonic)mnemonic) : NULL;
    return name ? name : "?";
}

unsigned segue_mnemonic_count(void)
{
    return ZYDIS_MNEMONIC_MAX_VALUE + 1;
}
