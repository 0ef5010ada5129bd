/* zydis.h: the library's use of Zydis. Used inside decode/ only. */
#ifndef SEGUE_DECODE_ZYDIS_H
#define SEGUE_DECODE_ZYDIS_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* Which operands are decoded. */
enum operands_wanted {
    /* Hidden operands only of instructions that access memory through them: decoding the others too would take a
     * quarter of the time. */
    OPERANDS_NEEDED,
    OPERANDS_ALL,
};

/* Decodes as ZydisDecoderDecodeFull does, and corrects known defects (quirks.h). Returns SEGUE_OK, SEGUE_TRUNCATED or
 * SEGUE_UNDEFINED, and fills in the first `instruction->operand_count` of `operands`. `mode` must be valid. */
enum segue_status zydis_decode(enum segue_mode mode, const void *bytes, size_t size, enum operands_wanted wanted,
                               ZydisDecodedInstruction *instruction,
                               ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]);

#endif
