/* text.h: an instruction as text. Where the decoder has no formatter, it is the mnemonic alone (tools/windows/text.c).
 */
#ifndef SEGUE_TOOLS_TEXT_H
#define SEGUE_TOOLS_TEXT_H

#include "instruction.h"

/* Writes `text`, of an instruction that is decoded. */
void text_write(struct instruction *instruction);

#endif
