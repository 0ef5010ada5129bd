/* pieces.h: an access carried out piece by piece, all of it or nothing. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_PIECES_H
#define SEGUE_EMULATE_PIECES_H

#include <segue/emulate.h>

#include "details.h"

/* Whether the piece is reached where `host` tells, which may well be address 0. */
static inline bool piece_is_native(const struct plan_piece *piece)
{
    return !piece->window || piece->window->kind == SEGUE_WINDOW_ALIAS || piece->window->kind == SEGUE_WINDOW_EXPOSED;
}

/* The part of an access that the step does: its lowest address, and bytes. Of repeated strings it may be less than all,
 * or nothing. Of a plan that was refused: all of the access. */
void pieces_part(const struct segue_plan *plan, uint32_t number, uint64_t *address, uint64_t *size);

/* Whether the instruction is one locked operation, or makes an access that must be whole. */
bool pieces_are_atomic(const struct segue_plan *plan);

/* A part of each memory operand: the address of its first byte, and bytes. */
struct extents {
    uint64_t address[SEGUE_MEMORY_OPERANDS];
    uint64_t size[SEGUE_MEMORY_OPERANDS];
};

/* Copies of the memory operands that an instruction has, or of parts of them. */
struct copies {
    /* What the copies are of. Pieces of the plan count as far as they lie there. */
    struct extents of;
    /* NULL for an operand that is not copied. */
    uint8_t *bytes[SEGUE_MEMORY_OPERANDS];
    /* If not 0: only the access of this number, counted from 1, is done. */
    uint32_t only;
};

/* Fills the copies with what the plan's accesses read, if all that they write is writable too; on failure `fault` (may
 * be NULL) tells where. */
enum segue_status pieces_read(const struct segue_plan *plan, const struct copies *copies, struct segue_fault *fault);

/* Stores what the plan's accesses write. Nothing is stored before all of it is known to be writable. */
enum segue_status pieces_write(const struct segue_plan *plan, const struct copies *copies, struct segue_fault *fault);

/* Looks at the last byte of the plan's accesses, if the first can be reached; on failure `fault` (may be NULL) tells
 * the last. */
enum segue_status pieces_look_at_end(const struct segue_plan *plan, struct segue_fault *fault);

/* One piece that is not a device's, read as a whole into `to`, and looked at whether it can be written if that is in
 * `direction`; stored as a whole. On failure `fault` (may be NULL) tells where. */
enum segue_status piece_fetch(const struct plan_piece *piece, uint8_t direction, void *to, struct segue_fault *fault);
enum segue_status piece_store(const struct plan_piece *piece, const void *from, struct segue_fault *fault);

/* Stores in a native piece of 1, 2, 4, 8 or 16 bytes what is at `to` if it holds what is at `from`, as one indivisible
 * operation. SEGUE_BUSY: it holds something else; SEGUE_UNSUPPORTED for other sizes. */
enum segue_status piece_exchange(const struct plan_piece *piece, const void *from, const void *to,
                                 struct segue_fault *fault);

/* For a native access that has failed: finds the first page of its pieces that cannot be reached, as far as they lie in
 * `extents` (NULL: all of them), and tells it in `fault` (may be NULL). Tells an unknown address if there is none. */
void pieces_find_fault(const struct segue_plan *plan, const struct extents *extents, struct segue_fault *fault);

#endif
