/* quirks.h: the one place where defects of Zydis 4.0.0 are worked around. Used inside decode/, and by
 * the command for the text of an instruction. */
#ifndef SEGUE_DECODE_QUIRKS_H
#define SEGUE_DECODE_QUIRKS_H

#include <Zydis/Zydis.h>
#include <stdbool.h>

/* Mends what Zydis got wrong in an instruction that it has just decoded. False if it should not have accepted it. */
bool quirks_mend(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]);

#endif
