/* zydis.h: Zydis, as it is used here. Used inside decode/ alone. */
#ifndef SEGUE_DECODE_ZYDIS_H
#define SEGUE_DECODE_ZYDIS_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* Which operands are decoded. */
enum operands_wanted {
    /* Of those that no assembly text shows, only those of instructions that access memory through them: the others take
     * a quarter of the time. */
    OPERANDS_NEEDED,
    OPERANDS_ALL,
};

/* Decodes as ZydisDecoderDecodeFull does, and mends what it got wrong. Returns SEGUE_OK, SEGUE_TRUNCATED or
 * SEGUE_UNDEFINED; of `operands` the first `instruction->operand_count` are filled in. `mode` is one there is. */
enum segue_status zydis_decode(enum segue_mode mode, const void *bytes, size_t size, enum operands_wanted wanted,
                               ZydisDecodedInstruction *instruction,
                               ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]);

#endif
