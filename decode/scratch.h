/* scratch.h: the memory that decoding works in. The caller provides it, since the stack on which a fault is served may
 * have no room. */
#ifndef SEGUE_DECODE_SCRATCH_H
#define SEGUE_DECODE_SCRATCH_H

#include "decode/zydis/zydis.h"

struct decode_scratch {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* As segue_decode, segue_decode_cached and relocation_complete, with the caller's memory. */
enum segue_status decode_in(struct decode_scratch *scratch, enum segue_mode mode, const void *bytes, size_t size,
                            struct segue_insn *insn);
enum segue_status decode_cached_in(struct decode_scratch *scratch, struct segue_cache *cache, enum segue_mode mode,
                                   uint64_t address, const void *bytes, size_t size, struct segue_insn *insn);
void relocation_complete_in(struct decode_scratch *scratch, struct segue_insn *insn);

/* The enum segue_insn_flags of a decoded instruction. */
uint8_t decode_flags(const struct decode_scratch *decoded);

#endif
