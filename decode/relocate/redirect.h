/* redirect.h: operand relocation: re-encodes an instruction so that its memory operand becomes [reg]. */
#ifndef SEGUE_DECODE_REDIRECT_H
#define SEGUE_DECODE_REDIRECT_H

#include <segue/decode.h>

#include "decode/orders.h"

/* Fills in `orders_of(insn)->redirection`, unless it is known. It decodes the instruction again with every operand;
 * callers that need only the accesses avoid that cost. Async-signal-safe. */
void redirect_complete(struct segue_insn *insn);

#endif
