/* relocation.h: operand relocation: re-encodes an instruction so that its memory operand becomes [reg]. */
#ifndef SEGUE_DECODE_RELOCATION_H
#define SEGUE_DECODE_RELOCATION_H

#include <segue/decode.h>

#include "decode/orders.h"

/* Fills in `orders_of(insn)->relocation`, unless it is known. It decodes the instruction again with every operand;
 * callers that need only the accesses avoid that cost. Async-signal-safe. */
void relocation_complete(struct segue_insn *insn);

#endif
