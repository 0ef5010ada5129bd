/* unserved.h: why an instruction cannot be run in a handler, if the reason differs from that of its class. */
#ifndef SEGUE_DECODE_UNSERVED_H
#define SEGUE_DECODE_UNSERVED_H

#include <segue/decode.h>

/* The reason, a static string; NULL if the reason of the instruction's class applies. Async-signal-safe. */
const char *unserved_text(const struct segue_insn *insn);

#endif
