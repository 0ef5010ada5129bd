/* zydis.c: the answers of Zydis and of segue_decode to a row. */
#include <segue/decode.h>
#include <stdio.h>
#include <string.h>

#include "decoders.h"
#include "names.h"

void corpus_slot_fill(uint8_t slot[CORPUS_SLOT_BYTES], const struct corpus_row *row)
{
    memset(slot, 0x90, CORPUS_SLOT_BYTES);
    memcpy(slot, row->bytes, row->length);
}

static void decoder_init(ZydisDecoder *decoder)
{
    ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static uint16_t segment_of(ZydisRegister segment)
{
    return segment == ZYDIS_REGISTER_FS || segment == ZYDIS_REGISTER_GS ? (uint16_t)segment : 0;
}

static uint8_t direction_of(const ZydisDecodedOperand *operand)
{
    return (uint8_t)(((operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ? 1 : 0) |
                     ((operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ? 2 : 0));
}

static void memory_operand(const struct corpus_zydis *zydis, const ZydisDecodedOperand *from, struct corpus_operand *to)
{
    const ZydisDecodedOperandMem *mem = &from->mem;
    bool address_only = mem->type == ZYDIS_MEMOP_TYPE_AGEN;
    to->kind = CORPUS_OPERAND_MEMORY;
    to->reg = (uint16_t)mem->base;
    to->index = (uint16_t)mem->index;
    to->scale = mem->index ? mem->scale : 0;
    to->segment = segment_of(mem->segment);
    to->value = mem->disp.has_displacement ? mem->disp.value : 0;
    /* Lanes: the others name the element. */
    to->size = mem->type == ZYDIS_MEMOP_TYPE_VSIB ? from->element_size / 8 : from->size / 8;
    to->direction = address_only ? 0 : direction_of(from);
    if (address_only)
        to->size = 0;
    to->broadcast = zydis->instruction.avx.broadcast.mode && !zydis->instruction.avx.broadcast.is_static;
}

static void immediate_operand(const struct corpus_zydis *zydis, const ZydisDecodedOperand *from,
                              struct corpus_operand *to)
{
    to->kind = CORPUS_OPERAND_IMMEDIATE;
    to->value = from->imm.value.s;
    if (!from->imm.is_relative)
        return;
    to->kind = CORPUS_OPERAND_TARGET;
    to->value += zydis->instruction.length;
}

static void add_operand(const struct corpus_zydis *zydis, const ZydisDecodedOperand *from, struct corpus_answer *answer)
{
    struct corpus_operand *to = &answer->operands[answer->operand_count];
    if (from->encoding == ZYDIS_OPERAND_ENCODING_MASK) {
        answer->mask = from->reg.value == ZYDIS_REGISTER_K0 ? 0 : (uint16_t)from->reg.value;
        return;
    }
    if (answer->operand_count == CORPUS_OPERANDS)
        return;
    memset(to, 0, sizeof *to);
    if (from->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        memory_operand(zydis, from, to);
    } else if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        immediate_operand(zydis, from, to);
    } else {
        to->kind = CORPUS_OPERAND_REGISTER;
        to->reg = from->type == ZYDIS_OPERAND_TYPE_REGISTER ? (uint16_t)from->reg.value : 0;
    }
    answer->operand_count++;
}

static bool is_string(ZydisInstructionCategory category)
{
    return category == ZYDIS_CATEGORY_STRINGOP || category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* The operands that are written, and the memory of string instructions, which the others write out. */
static void add_operands(const struct corpus_zydis *zydis, struct corpus_answer *answer)
{
    const ZydisDecodedInstruction *instruction = &zydis->instruction;
    if (is_string(instruction->meta.category)) {
        for (size_t i = 0; i < instruction->operand_count; i++)
            if (zydis->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
                add_operand(zydis, &zydis->operands[i], answer);
        return;
    }
    for (size_t i = 0; i < instruction->operand_count_visible; i++)
        add_operand(zydis, &zydis->operands[i], answer);
}

static uint8_t rounding_of(const ZydisDecodedInstruction *instruction)
{
    static const uint8_t roundings[] = {
        [ZYDIS_ROUNDING_MODE_RN] = CORPUS_ROUNDING_NEAREST,
        [ZYDIS_ROUNDING_MODE_RD] = CORPUS_ROUNDING_DOWN,
        [ZYDIS_ROUNDING_MODE_RU] = CORPUS_ROUNDING_UP,
        [ZYDIS_ROUNDING_MODE_RZ] = CORPUS_ROUNDING_ZERO,
    };
    if (instruction->avx.rounding.mode)
        return roundings[instruction->avx.rounding.mode];
    return instruction->avx.has_sae ? CORPUS_ROUNDING_SAE : CORPUS_ROUNDING_NONE;
}

void corpus_zydis_answer(const uint8_t slot[CORPUS_SLOT_BYTES], struct corpus_zydis *zydis,
                         struct corpus_answer *answer)
{
    ZydisDecoder decoder;
    decoder_init(&decoder);
    answer->status = CORPUS_REFUSED;
    answer->operand_count = answer->zeroing = answer->rounding = 0;
    answer->mask = 0;
    answer->text_length = 0;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, slot, CORPUS_SLOT_BYTES, &zydis->instruction, zydis->operands)))
        return;
    answer->status = CORPUS_ACCEPTED;
    answer->length = zydis->instruction.length;
    answer->mnemonic = corpus_names_of_zydis((unsigned)zydis->instruction.mnemonic);
    /* The bit itself: Zydis' mask mode also calls comparisons into a mask register zeroing. */
    answer->zeroing = zydis->instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && zydis->instruction.raw.evex.z;
    answer->rounding = rounding_of(&zydis->instruction);
    add_operands(zydis, answer);
}

void corpus_zydis_text(const uint8_t slot[CORPUS_SLOT_BYTES], char *text, size_t size)
{
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    struct corpus_zydis zydis;
    decoder_init(&decoder);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    text[0] = 0;
    if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, slot, CORPUS_SLOT_BYTES, &zydis.instruction, zydis.operands)))
        ZydisFormatterFormatInstruction(&formatter, &zydis.instruction, zydis.operands,
                                        zydis.instruction.operand_count_visible, text, size, 0, NULL);
}

void corpus_segue_answer(const uint8_t slot[CORPUS_SLOT_BYTES], struct corpus_answer *answer)
{
    struct segue_insn insn;
    bool accepted = segue_decode(SEGUE_MODE_64, slot, CORPUS_SLOT_BYTES, &insn) == SEGUE_OK;
    answer->status = accepted ? CORPUS_ACCEPTED : CORPUS_REFUSED;
    answer->length = accepted ? insn.length : 0;
}

void corpus_zydis_version(char *text, size_t size)
{
    uint64_t version = ZydisGetVersion();
    snprintf(text, size, "%u.%u.%u", (unsigned)ZYDIS_VERSION_MAJOR(version), (unsigned)ZYDIS_VERSION_MINOR(version),
             (unsigned)ZYDIS_VERSION_PATCH(version));
}
