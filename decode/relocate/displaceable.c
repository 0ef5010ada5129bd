/* displaceable.c: decodes an instruction for displacement (see displaced.h): its parts, its control flow, its memory
 * operand, and whether it may run elsewhere.
 *
 * SOURCES: Intel SDM volume 2, chapter 2 and each instruction's page; volume 3, 6.8.3 (what holds interrupts and traps
 * off: MOV and POP to SS). */
#include "displaced.h"

#include <string.h>

#include "decode/encoding.h"
#include "decode/mnemonics/classes.h"
#include "decode/operands/descriptors.h"
#include "decode/operands/registers.h"
#include "decode/scratch.h"
#include "decode/zydis/quirks.h"

/* Instructions of the class "system" that a program executes, and that do the same anywhere. */
static const ZydisMnemonic movable_system[] = {
    ZYDIS_MNEMONIC_CPUID,  ZYDIS_MNEMONIC_RDTSC,  ZYDIS_MNEMONIC_RDTSCP, ZYDIS_MNEMONIC_RDRAND,
    ZYDIS_MNEMONIC_RDSEED, ZYDIS_MNEMONIC_RDPID,  ZYDIS_MNEMONIC_XGETBV, ZYDIS_MNEMONIC_RDPKRU,
    ZYDIS_MNEMONIC_WRPKRU, ZYDIS_MNEMONIC_RDSSPD, ZYDIS_MNEMONIC_RDSSPQ,
};

/* Reasons for a missing access list that are no reason to stay. */
static bool is_known(const struct segue_insn *insn)
{
    switch ((enum segue_unlisted)insn->unlisted) {
    case SEGUE_UNLISTED_NONE:
    case SEGUE_UNLISTED_TILES:
    case SEGUE_UNLISTED_STATE_LAYOUT:
        return true;
    default:
        return false;
    }
}

static bool is_movable_system(ZydisMnemonic mnemonic)
{
    for (size_t i = 0; i < sizeof movable_system / sizeof *movable_system; i++)
        if (movable_system[i] == mnemonic)
            return true;
    return false;
}

static bool loads_stack_segment(const struct decode_scratch *decoded)
{
    for (size_t i = 0; i < decoded->instruction.operand_count; i++)
        if (decoded->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            decoded->operands[i].reg.value == ZYDIS_REGISTER_SS &&
            (decoded->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            return true;
    return false;
}

static bool is_relative(const struct decode_scratch *decoded)
{
    return decoded->instruction.operand_count_visible > 0 &&
           decoded->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && decoded->operands[0].imm.is_relative;
}

static enum displaced_flow flow_of_branch(const struct decode_scratch *decoded)
{
    const ZydisDecodedInstruction *instruction = &decoded->instruction;
    bool direct = is_relative(decoded);
    /* With 66h AMD's processors truncate RIP. */
    if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || instruction->operand_width == 16)
        return DISPLACED_FLOW_STAYS;
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
        return direct ? DISPLACED_FLOW_JUMP : DISPLACED_FLOW_JUMP_INDIRECT;
    case ZYDIS_MNEMONIC_CALL:
        return direct ? DISPLACED_FLOW_CALL : DISPLACED_FLOW_CALL_INDIRECT;
    case ZYDIS_MNEMONIC_RET:
        return DISPLACED_FLOW_RETURN;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
        return direct ? DISPLACED_FLOW_LOOP : DISPLACED_FLOW_STAYS;
    case ZYDIS_MNEMONIC_XBEGIN:
        return DISPLACED_FLOW_STAYS;
    default:
        return direct && instruction->meta.category == ZYDIS_CATEGORY_COND_BR ? DISPLACED_FLOW_CONDITIONAL
                                                                              : DISPLACED_FLOW_STAYS;
    }
}

static enum displaced_flow flow_of(const struct decode_scratch *decoded, const struct segue_insn *insn)
{
    const ZydisDecodedInstruction *instruction = &decoded->instruction;
    if (!is_known(insn) || quirks_mistakes(instruction) || (instruction->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED))
        return DISPLACED_FLOW_STAYS;
    switch ((enum segue_class)insn->class_) {
    case SEGUE_CLASS_BRANCH:
        return flow_of_branch(decoded);
    case SEGUE_CLASS_SYSTEM:
        return is_movable_system(instruction->mnemonic) ? DISPLACED_FLOW_NEXT : DISPLACED_FLOW_STAYS;
    case SEGUE_CLASS_UNKNOWN:
        return DISPLACED_FLOW_STAYS;
    case SEGUE_CLASS_SEGMENT:
        return loads_stack_segment(decoded) ? DISPLACED_FLOW_STAYS : DISPLACED_FLOW_NEXT;
    default:
        return DISPLACED_FLOW_NEXT;
    }
}

/* All x87 instructions but controls, and loads and stores of the state itself (SDM volume 1, 8.1.8). Zydis counts some
 * of them as parts of other extensions: FISTTP, FCMOVcc, FCOMI. */
static bool is_recorded(const ZydisDecodedInstruction *instruction, const struct segue_insn *insn)
{
    bool is_escape = instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
                     instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction->opcode & 0xf8) == 0xd8;
    return insn->class_ == SEGUE_CLASS_X87 || (is_escape && insn->class_ != SEGUE_CLASS_STATE);
}

static const ZydisDecodedOperand *named_operand(const struct decode_scratch *decoded)
{
    for (size_t i = 0; i < decoded->instruction.operand_count; i++) {
        const ZydisDecodedOperand *operand = &decoded->operands[i];
        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
                                                           operand->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64))
            return operand;
    }
    return NULL;
}

/* The operand as it is encoded; nothing is known of its access. */
static struct segue_memory_operand describe(const ZydisDecodedOperand *operand)
{
    const ZydisDecodedOperandMem *mem = &operand->mem;
    struct register_place base, index;
    return (struct segue_memory_operand){
        .segment = (uint8_t)(mem->segment == ZYDIS_REGISTER_FS   ? SEGUE_SEGMENT_FS
                             : mem->segment == ZYDIS_REGISTER_GS ? SEGUE_SEGMENT_GS
                                                                 : SEGUE_SEGMENT_DS),
        .base = register_find(mem->base, &base) ? base.number : SEGUE_REGISTER_NONE,
        .index = mem->type == ZYDIS_MEMOP_TYPE_VSIB  ? (uint8_t)ZydisRegisterGetId(mem->index)
                 : register_find(mem->index, &index) ? index.number
                                                     : SEGUE_REGISTER_NONE,
        .scale = mem->index != ZYDIS_REGISTER_NONE ? mem->scale : 0,
        .addressing = mem->type == ZYDIS_MEMOP_TYPE_VSIB ? SEGUE_ADDRESSING_VECTOR : SEGUE_ADDRESSING_PLAIN,
        .displacement = mem->disp.has_displacement ? mem->disp.value : 0,
    };
}

/* The place of the named operand in the access list, if it alone is there beside the stack; else -1. */
static int find_listed(const struct segue_insn *insn)
{
    int found = -1;
    for (int i = 0; i < insn->memory_count; i++) {
        if (insn->memory[i].addressing == SEGUE_ADDRESSING_STACK)
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

/* Its bytes, or some of their elements, are at the effective address. */
static bool is_at_address(const struct segue_insn *insn, const struct segue_memory_operand *memory)
{
    return insn->unlisted == SEGUE_UNLISTED_NONE && insn->address_size == 8 && memory->direction && memory->size &&
           memory->addressing == SEGUE_ADDRESSING_PLAIN && memory->segment < SEGUE_SEGMENT_FS && !memory->probe;
}

static bool is_plain(const struct segue_insn *insn, const struct segue_memory_operand *memory)
{
    return is_at_address(insn, memory) && !memory->masking && !(memory->flags & ~SEGUE_ACCESS_ATOMIC);
}

static bool is_masked(const struct segue_insn *insn, const struct segue_memory_operand *memory)
{
    return is_at_address(insn, memory) && memory->masking == SEGUE_MASKING_OPMASK && memory->lanes &&
           memory->flags == SEGUE_ACCESS_MASKED;
}

static void find_operand(const struct decode_scratch *decoded, const struct segue_insn *insn, struct displaceable *made)
{
    const ZydisDecodedOperand *operand = named_operand(decoded);
    if (!operand)
        return;
    made->memory = describe(operand);
    made->encoded = made->memory.displacement;
    made->operand = made->memory.base == SEGUE_RIP                         ? DISPLACED_OPERAND_RELATIVE
                    : operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ? DISPLACED_OPERAND_MODRM
                                                                           : DISPLACED_OPERAND_OFFSET;
    int listed = find_listed(insn);
    if (listed < 0 || operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
        return;
    made->memory = insn->memory[listed];
    made->is_plain = is_plain(insn, &made->memory);
    made->is_masked = is_masked(insn, &made->memory);
}

/* Where the parts of the instruction are. False if Zydis' account of them is not consistent. */
static bool find_parts(const ZydisDecodedInstruction *instruction, struct displaceable *made)
{
    while (made->opcode < made->length && encoding_is_prefix(made->bytes[made->opcode]))
        made->opcode++;
    unsigned at = made->length;
    if (instruction->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
        made->modrm = instruction->raw.modrm.offset;
        at = made->modrm + 1u + ((instruction->attributes & ZYDIS_ATTRIB_HAS_SIB) != 0);
    } else if (instruction->raw.disp.size) {
        at = instruction->raw.disp.offset;
    }
    made->displacement = (uint8_t)at;
    made->tail = (uint8_t)(at + instruction->raw.disp.size / 8);
    return made->tail <= made->length && (!instruction->raw.disp.size || instruction->raw.disp.offset == at);
}

/* As segue_decode makes it, of what displacement needs. */
static void describe_accesses(struct decode_scratch *scratch, struct segue_insn *insn)
{
    ZydisDecodedInstruction *instruction = &scratch->instruction;
    uint8_t count = instruction->operand_count;
    insn->length = instruction->length;
    insn->mode = SEGUE_MODE_64;
    insn->address_size = instruction->address_width / 8;
    insn->flags = decode_flags(scratch);
    if (!descriptors_need_hidden(instruction))
        instruction->operand_count = instruction->operand_count_visible;
    descriptors_make(instruction, scratch->operands, insn);
    instruction->operand_count = count;
    insn->class_ = (uint8_t)classes_find(instruction, scratch->operands, insn);
}

bool displaceable_make(struct decode_scratch *scratch, uint64_t address, const uint8_t *bytes, size_t size,
                       struct displaceable *made)
{
    static const struct segue_insn empty;
    struct segue_insn insn = empty;
    if (size == 0 ||
        zydis_decode(SEGUE_MODE_64, bytes, size, OPERANDS_ALL, &scratch->instruction, scratch->operands) != SEGUE_OK)
        return false;
    memset(made, 0, sizeof *made);
    describe_accesses(scratch, &insn);
    memcpy(made->bytes, bytes, insn.length);
    made->address = address;
    made->length = insn.length;
    made->address_size = insn.address_size;
    made->is_compressed = scratch->instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    made->is_recorded = is_recorded(&scratch->instruction, &insn);
    made->flow = (uint8_t)flow_of(scratch, &insn);
    if (!find_parts(&scratch->instruction, made))
        return false;
    find_operand(scratch, &insn, made);
    /* An address in ModRM that Zydis lists no operand for. */
    if (made->operand == DISPLACED_OPERAND_NONE && made->modrm && scratch->instruction.raw.modrm.mod != 3)
        made->flow = DISPLACED_FLOW_STAYS;
    if (is_relative(scratch))
        made->target = address + made->length + scratch->operands[0].imm.value.u;
    if (made->flow == DISPLACED_FLOW_STAYS)
        effects_everything(&made->effects);
    else
        effects_find(scratch, &made->effects);
    return true;
}
