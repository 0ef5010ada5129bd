/* accesses.h: the address of a memory operand, and lists of accesses that end with the address space. */
#ifndef SEGUE_DECODE_ACCESSES_H
#define SEGUE_DECODE_ACCESSES_H

#include <segue/decode.h>

/* The linear address of operand `number` in 64-bit mode: base, index, displacement and segment base. A mask, a bit
 * offset or a vector of indices adds nothing to it. */
uint64_t accesses_operand(const struct segue_insn *insn, const struct segue_regs *regs, unsigned number);

/* As segue_accesses, except for repeated strings: it lists only the elements before the end of the address space, or
 * before the end of what the address size can address. Those elements are exact, wherever the remaining ones go on. */
enum segue_status accesses_before_end(const struct segue_insn *insn, const struct segue_regs *regs,
                                      const struct segue_xstate *xstate, struct segue_access *accesses, size_t capacity,
                                      size_t *count);

#endif
