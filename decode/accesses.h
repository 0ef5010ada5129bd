/* accesses.h: where a memory operand is, whatever of it is accessed. */
#ifndef SEGUE_DECODE_ACCESSES_H
#define SEGUE_DECODE_ACCESSES_H

#include <segue/decode.h>

/* The linear address of operand `number` in 64-bit mode: base, index, displacement and segment, without what a mask, a
 * bit offset or a vector of indices adds. */
uint64_t accesses_operand(const struct segue_insn *insn, const struct segue_regs *regs, unsigned number);

#endif
