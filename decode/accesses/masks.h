/* masks.h: mask and vector registers out of an XSAVE area. Used inside decode/ and emulate/ alone. */
#ifndef SEGUE_DECODE_MASKS_H
#define SEGUE_DECODE_MASKS_H

#include <segue/decode.h>

/* The most bytes of a vector register. */
#define VECTOR_SIZE 64

/* Each fills in its result and returns true, or returns false when the state does not tell: there is none, it is in
 * the compacted format, or has no room for that register. */

/* The 64 bits of an opmask register. */
bool masks_opmask(const struct segue_xstate *xstate, unsigned number, uint64_t *bits);

/* The lowest `size` bytes of a vector register: 16, 32 or 64. */
bool masks_vector(const struct segue_xstate *xstate, unsigned number, unsigned size, uint8_t bytes[VECTOR_SIZE]);

/* Change them where they are in use; what is in its initial state stays so. After the above have returned true. */
void masks_set_opmask(const struct segue_xstate *xstate, unsigned number, uint64_t bits);
void masks_set_vector(const struct segue_xstate *xstate, unsigned number, unsigned size, const uint8_t *bytes);

/* All of a vector register, as far as the state has it, the rest zero; and puts it back from byte `first` on. */
void masks_whole(const struct segue_xstate *xstate, unsigned number, uint8_t bytes[VECTOR_SIZE]);
void masks_set_from(const struct segue_xstate *xstate, unsigned number, unsigned first,
                    const uint8_t bytes[VECTOR_SIZE]);

/* The bits that `memory`'s mask has, bit 0 for lane 0. All ones where nothing masks. */
bool masks_of(const struct segue_memory_operand *memory, const struct segue_xstate *xstate, uint64_t *bits);

#endif
