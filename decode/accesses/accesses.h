/* accesses.h: where a memory operand is, whatever of it is accessed. */
#ifndef SEGUE_DECODE_ACCESSES_H
#define SEGUE_DECODE_ACCESSES_H

#include <segue/decode.h>

/* The linear address of operand `number` in 64-bit mode: base, index, displacement and segment, without what a mask, a
 * bit offset or a vector of indices adds. */
uint64_t accesses_operand(const struct segue_insn *insn, const struct segue_regs *regs, unsigned number);

/* As segue_accesses, but of a repeated string it lists only what comes before the end of the address space, or of what
 * its address size can address: those elements are exact, wherever the others go on. */
enum segue_status accesses_before_end(const struct segue_insn *insn, const struct segue_regs *regs,
                                      const struct segue_xstate *xstate, struct segue_access *accesses, size_t capacity,
                                      size_t *count);

#endif
