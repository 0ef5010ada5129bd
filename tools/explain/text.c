/* text.c: an instruction as assembly text, from the operands as Segue corrects them. */
#include "text.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

#include "decode/x86/processor.h"
#include "decode/zydis/quirks.h"

static bool decode(ZydisDecoder *decoder, const struct segue_insn *insn, ZydisDecodedInstruction *decoded,
                   ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    uint8_t copy[SEGUE_INSN_BYTES];
    const uint8_t *bytes = insn->bytes;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, insn->length, decoded, operands))) {
        enum quirks_reading reading = quirks_read_again((enum segue_mode)insn->mode, bytes, insn->length, copy);
        if (reading == QUIRKS_REFUSED)
            return false;
        if (reading == QUIRKS_WITHOUT_MPX)
            ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
        bytes = copy;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, insn->length, decoded, operands)))
            return false;
    }
    return quirks_fix(decoded, operands);
}

void text_write(struct instruction *instruction)
{
    const struct segue_insn *insn = &instruction->plan.insn;
    const struct code *code = instruction->code;
    bool is_64 = insn->mode == SEGUE_MODE_64;
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction decoded;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderInit(&decoder, is_64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                     is_64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, processor_is_amd());
    if (!decode(&decoder, insn, &decoded, operands)) {
        snprintf(instruction->text, sizeof instruction->text, "%s", segue_mnemonic_name(insn->mnemonic));
        return;
    }
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
    if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
            &formatter, &decoded, operands, decoded.operand_count_visible, instruction->text, sizeof instruction->text,
            code->address_known ? code->address + instruction->offset : ZYDIS_RUNTIME_ADDRESS_NONE, NULL)))
        snprintf(instruction->text, sizeof instruction->text, "%s", segue_mnemonic_name(insn->mnemonic));
}
