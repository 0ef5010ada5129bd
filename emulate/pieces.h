/* pieces.h: an access carried out piece by piece, all of it or nothing. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_PIECES_H
#define SEGUE_EMULATE_PIECES_H

#include <segue/emulate.h>

/* Fills `bytes` with the memory of access 0 of the plan; on failure `fault` (may be NULL) tells where. */
enum segue_status pieces_read(const struct segue_plan *plan, void *bytes, struct segue_fault *fault);

/* Stores `bytes` in the memory of access 0 of the plan. Nothing is stored before all of it is known to be writable. */
enum segue_status pieces_write(const struct segue_plan *plan, const void *bytes, struct segue_fault *fault);

#endif
