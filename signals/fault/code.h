/* code.h: the instruction at an address of the running program. */
#ifndef SEGUE_SIGNALS_CODE_H
#define SEGUE_SIGNALS_CODE_H

#include <segue/decode.h>

#include "decode/scratch.h"

/* What the handler has decoded, and segue_frame_plan. */
extern struct segue_cache code_cache;

/* Reads and decodes the instruction at `address`, by way of `cache` if it is not NULL, in the memory given. The next
 * page is touched only if the instruction goes on there. Returns as segue_decode; SEGUE_TRUNCATED when the bytes cannot
 * be read. Async-signal-safe. */
enum segue_status code_decode(struct decode_scratch *scratch, struct segue_cache *cache, uint64_t address,
                              struct segue_insn *insn);

#endif
