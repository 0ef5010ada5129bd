/* relocation.c: re-encodes an instruction so that its memory operand becomes [reg] (operand relocation). ModRM, SIB and
 * displacement are rewritten with a base register that the instruction does not use; everything else stays as it is.
 *
 * SOURCES: Intel SDM volume 2, 2.1 (ModRM, SIB), 2.2.1 (REX: without effect if a prefix follows it), 2.3 (VEX), 2.7
 * (EVEX); AMD APM volume 3, 1.2.8 (XOP). ASSUMPTIONS: Zydis lists every general register that an instruction uses,
 * hidden ones too. */
#include "relocation.h"

#include <string.h>

#include "decode/encoding.h"
#include "decode/host.h"
#include "decode/operands/registers.h"
#include "decode/orders.h"
#include "decode/scratch.h"
#include "decode/x86/xsave.h"
#include "output.h"

/* Three-bit register encodings. */
#define ENCODED_RSP 4u

/* In the byte behind that of VECTOR_R in VEX3, XOP and EVEX; inverted. */
#define VVVV_SHIFT 3
#define VVVV_MASK (15u << VVVV_SHIFT)

/* General registers that can be a base without a prefix or SIB. Those that instructions use implicitly least often come
 * first. */
static const struct {
    uint8_t number, encoding;
} candidates[] = {{SEGUE_RSI, 6}, {SEGUE_RDI, 7}, {SEGUE_RBX, 3}, {SEGUE_RDX, 2}, {SEGUE_RCX, 1}, {SEGUE_RAX, 0}};
#define CANDIDATES (sizeof candidates / sizeof *candidates)

/* An operand relocation under construction. */
struct builder {
    const ZydisDecodedInstruction *instruction;
    const ZydisDecodedOperand *operands;
    struct segue_insn *insn;
    struct insn_relocation *relocation;
    struct output output;
    /* The offset of the opcode, or of a prefix that is part of the opcode. */
    unsigned opcode;
    /* Encodings of the base and of the scratch register. */
    unsigned base, scratch_register;
};

static bool is_segment_or_address_prefix(uint8_t byte)
{
    return encoding_is_null_segment(byte) || byte == 0x64 || byte == 0x65 || byte == 0x67;
}

/* Copies the prefixes that still have an effect. A REX that is not immediately before the opcode has none; it would
 * gain one if the bytes between were dropped, so it is dropped too. */
static void append_prefixes(struct builder *builder)
{
    for (unsigned i = 0; i < builder->opcode; i++) {
        uint8_t byte = builder->insn->bytes[i];
        if (is_segment_or_address_prefix(byte) || (encoding_is_rex(byte) && i + 1 != builder->opcode))
            continue;
        output_byte(&builder->output, byte);
    }
}

static bool is_vector_index(const struct builder *builder)
{
    return builder->insn->memory[0].addressing == SEGUE_ADDRESSING_VECTOR;
}

/* Clears the extension bits of base and index in a REX, VEX, XOP or EVEX prefix; a vector index keeps its own. */
static void clear_extensions(struct builder *builder, unsigned last)
{
    uint8_t *bytes = builder->output.bytes;
    switch (builder->instruction->encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
    case ZYDIS_INSTRUCTION_ENCODING_3DNOW:
        if (last > 0 && encoding_is_rex(bytes[last - 1]))
            bytes[last - 1] &= (uint8_t) ~(REX_B | REX_X);
        break;
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
        if (builder->insn->bytes[builder->opcode] == VEX2)
            break;
        bytes[last + 1] |= VECTOR_B | (is_vector_index(builder) ? 0 : VECTOR_X);
        break;
    default:
        bytes[last + 1] |= VECTOR_B | (is_vector_index(builder) ? 0 : VECTOR_X);
        break;
    }
}

/* The byte of VEX, XOP or EVEX that encodes the second source (vvvv). */
static unsigned vvvv_place(const struct builder *builder)
{
    return builder->insn->bytes[builder->opcode] == VEX2 ? 1 : 2;
}

static uint8_t number_of(const ZydisDecodedOperand *operand)
{
    struct register_place place;
    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER || !register_find(operand->reg.value, &place))
        return SEGUE_REGISTER_NONE;
    return place.number;
}

/* The register that a scratch register must replace: RSP, since the copy runs on the host's stack, or a bit-offset
 * register, since its value would address memory outside the operand. */
static uint8_t replaced_register(const struct builder *builder)
{
    const struct segue_memory_operand *memory = &builder->insn->memory[0];
    if (memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET)
        return memory->mask;
    for (unsigned i = 0; i < builder->instruction->operand_count; i++)
        if (number_of(&builder->operands[i]) == SEGUE_RSP)
            return SEGUE_RSP;
    return SEGUE_REGISTER_NONE;
}

/* Chooses the base, and a scratch register if one is needed, among the registers that the instruction does not use. */
static bool choose_registers(struct builder *builder, uint8_t replaced)
{
    unsigned used = 0, chosen = 0;
    for (unsigned i = 0; i < builder->instruction->operand_count; i++) {
        uint8_t number = number_of(&builder->operands[i]);
        if (number < SEGUE_RIP)
            used |= 1u << number;
    }
    for (unsigned i = 0; i < CANDIDATES && chosen < 2; i++) {
        if (used >> candidates[i].number & 1)
            continue;
        if (chosen++ == 0) {
            builder->base = candidates[i].encoding;
            builder->relocation->base = candidates[i].number;
        } else if (replaced != SEGUE_REGISTER_NONE) {
            builder->scratch_register = candidates[i].encoding;
            builder->relocation->scratch_register = candidates[i].number;
        }
    }
    return chosen >= (replaced == SEGUE_REGISTER_NONE ? 1u : 2u);
}

/* Encodes the scratch register in place of the replaced one. False if the replaced register is an implicit operand. */
static bool substitute(struct builder *builder, uint8_t replaced, unsigned start, uint8_t *reg)
{
    uint8_t *bytes = builder->relocation->bytes;
    for (unsigned i = 0; i < builder->instruction->operand_count; i++) {
        const ZydisDecodedOperand *operand = &builder->operands[i];
        if (number_of(operand) != replaced)
            continue;
        if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) {
            *reg = (uint8_t)builder->scratch_register;
            /* The bit-offset register may be one of R8 to R15. */
            if (start > 0 && encoding_is_rex(bytes[start - 1]))
                bytes[start - 1] &= (uint8_t)~4u;
        } else if (operand->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD) {
            uint8_t *vvvv = &bytes[start + vvvv_place(builder)];
            *vvvv = (uint8_t)((*vvvv & ~VVVV_MASK) | (~builder->scratch_register << VVVV_SHIFT & VVVV_MASK));
        } else {
            return false;
        }
    }
    return true;
}

static bool relocate_operand(struct builder *builder)
{
    const ZydisDecodedInstruction *instruction = builder->instruction;
    const uint8_t *bytes = builder->insn->bytes;
    unsigned modrm = instruction->raw.modrm.offset, tail = modrm + 1;
    uint8_t replaced = replaced_register(builder), reg = bytes[modrm] >> 3 & 7;
    if (!choose_registers(builder, replaced))
        return false;
    append_prefixes(builder);
    unsigned start = builder->output.length;
    output_copy(&builder->output, bytes, builder->opcode, modrm);
    clear_extensions(builder, start);
    if (replaced != SEGUE_REGISTER_NONE && !substitute(builder, replaced, start, &reg))
        return false;

    output_byte(&builder->output, (unsigned)reg << 3 | (is_vector_index(builder) ? RM_SIB : builder->base));
    if (is_vector_index(builder))
        output_byte(&builder->output, (bytes[instruction->raw.sib.offset] & ~7u) | builder->base);
    if (instruction->attributes & ZYDIS_ATTRIB_HAS_SIB)
        tail++;
    tail += instruction->raw.disp.size / 8;
    output_copy(&builder->output, bytes, tail, instruction->length);
    builder->relocation->modrm = bytes[modrm];
    return true;
}

/* The address is not encoded in the instruction. */
static bool relocate_implicit(struct builder *builder)
{
    append_prefixes(builder);
    output_copy(&builder->output, builder->insn->bytes, builder->opcode, builder->instruction->length);
    return replaced_register(builder) == SEGUE_REGISTER_NONE;
}

/* Tile configuration belongs to the thread; code that runs the instruction for the thread has a different one. */
static bool moves_tile_configuration(const struct builder *builder)
{
    return builder->instruction->mnemonic == ZYDIS_MNEMONIC_LDTILECFG ||
           builder->instruction->mnemonic == ZYDIS_MNEMONIC_STTILECFG;
}

static bool has_relocatable_operand(const struct builder *builder)
{
    const struct segue_insn *insn = builder->insn;
    if (insn->memory_count != 1 || moves_tile_configuration(builder))
        return false;
    switch (insn->memory[0].addressing) {
    case SEGUE_ADDRESSING_PLAIN:
    case SEGUE_ADDRESSING_BIT_OFFSET:
    case SEGUE_ADDRESSING_COMPRESSED:
    case SEGUE_ADDRESSING_VECTOR:
    case SEGUE_ADDRESSING_STATE:
        break;
    default:
        return false;
    }
    for (unsigned i = 0; i < builder->instruction->operand_count; i++)
        if (builder->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            builder->operands[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
            return true;
    return false;
}

/* Addresses come from fixed registers only (strings, XLAT, MASKMOVDQU and the like). */
static bool has_implicit_addresses(const struct builder *builder)
{
    const struct segue_insn *insn = builder->insn;
    for (unsigned i = 0; i < builder->instruction->operand_count; i++)
        if (builder->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            builder->operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            return false;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        unsigned addressing = insn->memory[i].addressing;
        if (insn->memory[i].base >= SEGUE_RIP || insn->memory[i].base == SEGUE_RSP ||
            (addressing != SEGUE_ADDRESSING_PLAIN && addressing != SEGUE_ADDRESSING_STRING &&
             addressing != SEGUE_ADDRESSING_TABLE && addressing != SEGUE_ADDRESSING_CACHE_LINE))
            return false;
    }
    return insn->memory_count > 0;
}

/* The state component of a register. In VEX and EVEX a result also clears the register's upper part. */
static uint64_t state_of_register(const ZydisDecodedInstruction *instruction, ZydisRegister reg)
{
    const uint64_t vector = COMPONENT_SSE | COMPONENT_AVX | COMPONENT_ZMM_UPPER;
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
        return COMPONENT_X87;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
        if (instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
            return COMPONENT_SSE;
        return ZydisRegisterGetId(reg) < 16 ? vector : COMPONENT_ZMM_HIGH | COMPONENT_SSE;
    case ZYDIS_REGCLASS_MASK:
        return COMPONENT_OPMASK;
    default:
        break;
    }
    switch (reg) {
    case ZYDIS_REGISTER_X87CONTROL:
    case ZYDIS_REGISTER_X87STATUS:
    case ZYDIS_REGISTER_X87TAG:
        return COMPONENT_X87;
    case ZYDIS_REGISTER_MXCSR:
        return COMPONENT_SSE;
    default:
        return 0;
    }
}

static uint8_t state_of(const struct builder *builder)
{
    const ZydisDecodedInstruction *instruction = builder->instruction;
    uint64_t state = 0;
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        const ZydisDecodedOperand *operand = &builder->operands[i];
        /* K0 as a mask means no mask. */
        bool no_mask = operand->encoding == ZYDIS_OPERAND_ENCODING_MASK && operand->reg.value == ZYDIS_REGISTER_K0;
        if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER && !no_mask)
            state |= state_of_register(instruction, operand->reg.value);
        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
            state |= state_of_register(instruction, operand->mem.index);
    }
    if (instruction->avx.mask.reg != ZYDIS_REGISTER_NONE && instruction->avx.mask.reg != ZYDIS_REGISTER_K0)
        state |= COMPONENT_OPMASK;
    switch (instruction->mnemonic) {
    /* Even with a memory operand they may switch the x87 registers to MMX. */
    case ZYDIS_MNEMONIC_CVTPI2PS:
    case ZYDIS_MNEMONIC_CVTPI2PD:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        state |= COMPONENT_X87 | COMPONENT_SSE;
        break;
    default:
        break;
    }
    if (instruction->meta.isa_ext == ZYDIS_ISA_EXT_X87)
        state |= COMPONENT_X87;
    if (builder->insn->memory[0].addressing == SEGUE_ADDRESSING_STATE)
        state = 0xff;
    /* Conversions and classifications depend on MXCSR even if no vector register is an operand; Zydis does not list
     * it. */
    if (instruction->meta.category == ZYDIS_CATEGORY_CONVERT ||
        instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
        state |= COMPONENT_SSE;
    return (uint8_t)state;
}

static void make(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                 struct segue_insn *insn)
{
    struct insn_relocation relocation = {.base = SEGUE_REGISTER_NONE, .scratch_register = SEGUE_REGISTER_NONE};
    struct builder builder = {.instruction = instruction,
                              .operands = operands,
                              .insn = insn,
                              .relocation = &relocation,
                              .output = {relocation.bytes, 0}};
    while (builder.opcode < insn->length && encoding_is_prefix(insn->bytes[builder.opcode]))
        builder.opcode++;
    if (has_relocatable_operand(&builder) && relocate_operand(&builder))
        relocation.kind = INSN_RELOCATION_OPERAND;
    else if (has_implicit_addresses(&builder) && relocate_implicit(&builder))
        relocation.kind = INSN_RELOCATION_IMPLICIT;
    else
        return;
    relocation.length = (uint8_t)builder.output.length;
    relocation.state = state_of(&builder);
    orders_in(insn)->relocation = relocation;
}

void relocation_complete_in(struct decode_scratch *scratch, struct segue_insn *insn)
{
    if (orders_in(insn)->relocation.kind != INSN_RELOCATION_UNKNOWN)
        return;
    orders_in(insn)->relocation.kind = INSN_RELOCATION_NONE;
    if (insn->mode == HOST_MODE && insn->memory_count > 0 && insn->unlisted == SEGUE_UNLISTED_NONE &&
        zydis_decode(HOST_MODE, insn->bytes, insn->length, OPERANDS_ALL, &scratch->instruction, scratch->operands) ==
            SEGUE_OK)
        make(&scratch->instruction, scratch->operands, insn);
}

/* A separate function, so that a caller whose instruction is complete uses no stack for it. */
static __attribute__((noinline)) void complete(struct segue_insn *insn)
{
    struct decode_scratch scratch;
    relocation_complete_in(&scratch, insn);
}

__attribute__((hot)) void relocation_complete(struct segue_insn *insn)
{
    if (orders_in(insn)->relocation.kind == INSN_RELOCATION_UNKNOWN)
        complete(insn);
}
