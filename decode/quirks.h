/* quirks.h: the one place where defects of Zydis 4.0.0 are worked around. Used inside decode/, and by
 * the command for the text of an instruction. */
#ifndef SEGUE_DECODE_QUIRKS_H
#define SEGUE_DECODE_QUIRKS_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>
#include <stdbool.h>

/* What Zydis refuses though processors run it, to be decoded in another way. */
enum quirks_reading {
    QUIRKS_REFUSED,
    /* From `copy`, in which a bit that the processor ignores is as Zydis wants it. */
    QUIRKS_OTHER_BYTES,
    /* From `copy`, with ZYDIS_DECODER_MODE_MPX off. */
    QUIRKS_WITHOUT_MPX,
};

/* To be asked of bytes that Zydis has refused. `copy` is given as many of the bytes as an instruction may have: `size`,
 * or SEGUE_INSN_BYTES. */
enum quirks_reading quirks_read_again(enum segue_mode mode, const uint8_t *bytes, size_t size,
                                      uint8_t copy[SEGUE_INSN_BYTES]);

/* Mends what Zydis got wrong in an instruction that it has just decoded. False if it should not have accepted it. */
bool quirks_mend(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]);

#endif
