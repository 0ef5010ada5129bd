/* redirect.h: an instruction's bytes with its memory operand led elsewhere. */
#ifndef SEGUE_DECODE_REDIRECT_H
#define SEGUE_DECODE_REDIRECT_H

#include <segue/decode.h>

#include "decode/orders.h"

/* Fills in `orders_of(insn)->redirection`, unless it is known. It decodes again, with every operand: who only wants to
 * know what is accessed need not wait for that. Async-signal-safe. */
void redirect_complete(struct segue_insn *insn);

#endif
