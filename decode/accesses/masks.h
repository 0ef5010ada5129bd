/* masks.h: mask and vector registers in an XSAVE area. Used inside decode/ and emulate/ only. */
#ifndef SEGUE_DECODE_MASKS_H
#define SEGUE_DECODE_MASKS_H

#include <segue/decode.h>

/* The most bytes of a vector register. */
#define VECTOR_SIZE 64

/* Each function fills in its result and returns true. It returns false if the state does not contain the register: no
 * state was given, it is in the compacted format, or the area has no room for that register. */

/* The 64 bits of an opmask register. */
bool masks_opmask(const struct segue_xstate *xstate, unsigned number, uint64_t *bits);

/* The lowest `size` bytes of a vector register: 16, 32 or 64. */
bool masks_vector(const struct segue_xstate *xstate, unsigned number, unsigned size, uint8_t bytes[VECTOR_SIZE]);

/* Change a register whose state component is in use; a component in its initial state stays so. Call them only after
 * the functions above have returned true for the register. */
void masks_set_opmask(const struct segue_xstate *xstate, unsigned number, uint64_t bits);
void masks_set_vector(const struct segue_xstate *xstate, unsigned number, unsigned size, const uint8_t *bytes);

/* Reads a whole vector register; parts that the state does not have are zero. The second function writes it back from
 * byte `first` on. */
void masks_whole(const struct segue_xstate *xstate, unsigned number, uint8_t bytes[VECTOR_SIZE]);
void masks_set_from(const struct segue_xstate *xstate, unsigned number, unsigned first,
                    const uint8_t bytes[VECTOR_SIZE]);

/* The bits of `memory`'s mask; bit 0 is lane 0. All ones if the operand has no mask. */
bool masks_of(const struct segue_memory_operand *memory, const struct segue_xstate *xstate, uint64_t *bits);

#endif
