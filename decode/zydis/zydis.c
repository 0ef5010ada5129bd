/* zydis.c: Zydis' decoders as constants, without initialisation, decoding only what the caller needs. */
#include "zydis.h"

#include "decode/operands/descriptors.h"
#include "decode/x86/processor.h"
#include "quirks.h"

#define MODES_WITHOUT_MPX                                                                                              \
    [ZYDIS_DECODER_MODE_CET] = ZYAN_TRUE, [ZYDIS_DECODER_MODE_LZCNT] = ZYAN_TRUE,                                      \
    [ZYDIS_DECODER_MODE_TZCNT] = ZYAN_TRUE, [ZYDIS_DECODER_MODE_CLDEMOTE] = ZYAN_TRUE
#define MODES [ZYDIS_DECODER_MODE_MPX] = ZYAN_TRUE, MODES_WITHOUT_MPX

/* What ZydisDecoderInit produces for the two modes (a test compares), as constants, so that decoding needs no
 * initialisation. In 64-bit mode AMD processors honour 66h before a near branch and Intel processors ignore it, so its
 * length differs. */
static const ZydisDecoder decoders[][2] = {
    [SEGUE_MODE_64] = {{ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, {MODES}},
                       {ZYDIS_MACHINE_MODE_LONG_64,
                        ZYDIS_STACK_WIDTH_64,
                        {MODES, [ZYDIS_DECODER_MODE_AMD_BRANCHES] = ZYAN_TRUE}}},
    [SEGUE_MODE_32] = {{ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32, {MODES}},
                       {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32, {MODES}}},
};

/* Only for 0F 1A and 0F 1B, after the other decoders have refused. */
static const ZydisDecoder decoders_without_mpx[] = {
    [SEGUE_MODE_64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, {MODES_WITHOUT_MPX}},
    [SEGUE_MODE_32] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32, {MODES_WITHOUT_MPX}},
};

static bool needs_hidden(const ZydisDecodedInstruction *instruction, enum operands_wanted wanted)
{
    return wanted == OPERANDS_ALL || descriptors_need_hidden(instruction);
}

static inline __attribute__((always_inline)) enum segue_status
decode_with(const ZydisDecoder *decoder, const void *bytes, size_t size, enum operands_wanted wanted,
            ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    ZydisDecoderContext context;
    ZyanStatus status = ZydisDecoderDecodeInstruction(decoder, &context, bytes, size, instruction);
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return size < SEGUE_INSN_BYTES ? SEGUE_TRUNCATED : SEGUE_UNDEFINED;
    if (!ZYAN_SUCCESS(status))
        return SEGUE_UNDEFINED;
    if (!needs_hidden(instruction, wanted))
        instruction->operand_count = instruction->operand_count_visible;
    status = ZydisDecoderDecodeOperands(decoder, &context, instruction, operands, instruction->operand_count);
    return ZYAN_SUCCESS(status) && quirks_fix(instruction, operands) ? SEGUE_OK : SEGUE_UNDEFINED;
}

/* Rare: kept away from the code of the first decoding. */
static __attribute__((noinline, cold)) enum segue_status
decode_again(enum segue_mode mode, const void *bytes, size_t size, enum operands_wanted wanted,
             ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    const ZydisDecoder *decoder = &decoders[mode][processor_is_amd()];
    uint8_t copy[SEGUE_INSN_BYTES];
    enum quirks_reading reading = quirks_read_again(mode, bytes, size, copy);
    if (reading == QUIRKS_REFUSED)
        return SEGUE_UNDEFINED;
    if (reading == QUIRKS_WITHOUT_MPX)
        decoder = &decoders_without_mpx[mode];
    return decode_with(decoder, copy, size < sizeof copy ? size : sizeof copy, wanted, instruction, operands);
}

enum segue_status zydis_decode(enum segue_mode mode, const void *bytes, size_t size, enum operands_wanted wanted,
                               ZydisDecodedInstruction *instruction,
                               ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    enum segue_status status =
        decode_with(&decoders[mode][processor_is_amd()], bytes, size, wanted, instruction, operands);
    return status == SEGUE_UNDEFINED ? decode_again(mode, bytes, size, wanted, instruction, operands) : status;
}
