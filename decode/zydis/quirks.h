/* quirks.h: workarounds for defects of Zydis 4.0.0. Used inside decode/, and by the command for the text of an
 * instruction. */
#ifndef SEGUE_DECODE_QUIRKS_H
#define SEGUE_DECODE_QUIRKS_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>
#include <stdbool.h>

/* How to decode bytes again that Zydis refuses although processors execute them. */
enum quirks_reading {
    QUIRKS_REFUSED,
    /* From `copy`, in which an ignored bit has the value that Zydis expects. */
    QUIRKS_OTHER_BYTES,
    /* From `copy`, with ZYDIS_DECODER_MODE_MPX off. */
    QUIRKS_WITHOUT_MPX,
};

/* Called for bytes that Zydis has refused. Fills `copy` with `size` bytes, at most SEGUE_INSN_BYTES. */
enum quirks_reading quirks_read_again(enum segue_mode mode, const uint8_t *bytes, size_t size,
                                      uint8_t copy[SEGUE_INSN_BYTES]);

/* Corrects what Zydis has decoded wrongly. False if Zydis should have refused the instruction. */
bool quirks_fix(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]);

/* What an instruction uses although Zydis does not list it: general registers that are read and written (bit N is the
 * register N of enum segue_register), and flags that are written (RFLAGS bits). */
struct quirks_effects {
    uint16_t registers;
    uint16_t flags;
};
struct quirks_effects quirks_effects(const ZydisDecodedInstruction *instruction);

/* Whether Zydis takes the instruction for another one, which differs in registers only. */
bool quirks_mistakes(const ZydisDecodedInstruction *instruction);

#endif
