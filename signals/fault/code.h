/* code.h: the instruction at an address of the running program. */
#ifndef SEGUE_SIGNALS_CODE_H
#define SEGUE_SIGNALS_CODE_H

#include <segue/decode.h>

#include "decode/scratch.h"

/* The instructions that the handler and segue_frame_plan have decoded. */
extern struct segue_cache code_cache;

/* Reads and decodes the instruction at `address`, via `cache` if it is not NULL, in the memory given. Touches the
 * next page only if the instruction extends into it. Returns as segue_decode; SEGUE_TRUNCATED if the bytes cannot be
 * read. Async-signal-safe. */
enum segue_status code_decode(struct decode_scratch *scratch, struct segue_cache *cache, uint64_t address,
                              struct segue_insn *insn);

#endif
