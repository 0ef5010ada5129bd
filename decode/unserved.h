/* unserved.h: why an instruction cannot be run in a handler, where the reason of its class does not hold for it. */
#ifndef SEGUE_DECODE_UNSERVED_H
#define SEGUE_DECODE_UNSERVED_H

#include <segue/decode.h>

/* The reason, a static string; NULL where that of the instruction's class holds. Async-signal-safe. */
const char *unserved_text(const struct segue_insn *insn);

#endif
