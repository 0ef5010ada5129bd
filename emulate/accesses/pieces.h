/* pieces.h: carries out an access fragment by fragment, all of it or nothing. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_PIECES_H
#define SEGUE_EMULATE_PIECES_H

#include <segue/emulate.h>

#include "emulate/details.h"

/* Whether the fragment is reached at `host`, which may well be address 0. */
static inline bool piece_is_native(const struct plan_piece *piece)
{
    return !piece->window || piece->window->kind == SEGUE_WINDOW_ALIAS || piece->window->kind == SEGUE_WINDOW_EXPOSED;
}

/* Whether the fragment is reached through a device's functions. */
static inline bool piece_is_device(const struct plan_piece *piece)
{
    return piece->window && piece->window->kind == SEGUE_WINDOW_CALLBACK;
}

/* How many fragments are a device's. */
unsigned pieces_devices(const struct segue_plan *plan);

/* The part of an access that the step carries out: its lowest address and its size. For a repeated string it may be
 * less than all, or nothing; for a refused plan it is the whole access. */
void pieces_part(const struct segue_plan *plan, uint32_t number, uint64_t *address, uint64_t *size);

/* Whether the instruction is locked, or makes an access that must be atomic. */
bool pieces_are_atomic(const struct segue_plan *plan);

/* A part of each memory operand: the address of its first byte, and its size. */
struct extents {
    uint64_t address[SEGUE_MEMORY_OPERANDS];
    uint64_t size[SEGUE_MEMORY_OPERANDS];
};

/* Copies of an instruction's memory operands, or of parts of them. */
struct copies {
    /* The ranges that are copied. Fragments of the plan count only as far as they lie in them. */
    struct extents of;
    /* NULL for an operand that is not copied. */
    uint8_t *bytes[SEGUE_MEMORY_OPERANDS];
    /* If not 0: the number of the only access to carry out, counted from 1. */
    uint32_t only;
};

/* Reads into the copies what the plan's accesses read, if everything that they write is writable too. On failure
 * `fault` (may be NULL) reports the address. */
enum segue_status pieces_read(const struct segue_plan *plan, const struct copies *copies, struct segue_fault *fault);

/* Stores what the plan's accesses write. It stores nothing before all of it is known to be writable. */
enum segue_status pieces_write(const struct segue_plan *plan, const struct copies *copies, struct segue_fault *fault);

/* Probes the last byte of the plan's accesses, if the first can be reached; on failure `fault` (may be NULL) reports
 * the last byte. */
enum segue_status pieces_probe_end(const struct segue_plan *plan, struct segue_fault *fault);

/* For one fragment that is not a device's: piece_fetch reads the whole fragment into `to`, and probes for a write if
 * `direction` has one; piece_store stores it. On failure `fault` (may be NULL) reports the address. */
enum segue_status piece_fetch(const struct plan_piece *piece, uint8_t direction, void *to, struct segue_fault *fault);
enum segue_status piece_store(const struct plan_piece *piece, const void *from, struct segue_fault *fault);

/* Compare-and-exchange: stores `to` in a native fragment of 1, 2, 4, 8 or 16 bytes if it holds `from`, atomically.
 * SEGUE_BUSY: it holds something else; SEGUE_UNSUPPORTED for other sizes. */
enum segue_status piece_exchange(const struct plan_piece *piece, const void *from, const void *to,
                                 struct segue_fault *fault);

/* After a native access has failed: finds the first page of its fragments, within `extents` (NULL: all of them), that
 * cannot be reached, and reports it in `fault` (may be NULL). If all can be reached, it reports an unknown address. */
void pieces_find_fault(const struct segue_plan *plan, const struct extents *extents, struct segue_fault *fault);

#endif
