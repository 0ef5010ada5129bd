/* vector.h: a guest's extended state: its area, and how it is loaded and stored; one file per processor. */
#ifndef SEGUE_CTX_VECTOR_H
#define SEGUE_CTX_VECTOR_H

#include "ctx/guest/gate.h"

/* Makes an area, in its initial state, for those of the wanted components (as in XCR0) that the system has enabled.
 * SEGUE_OK; SEGUE_UNSUPPORTED without XSAVE; SEGUE_NO_MEMORY. */
enum segue_status vector_new(struct segue_xstate *xstate, uint64_t wanted);

/* Sets the area for the gate: by moves if the area suits them, else by XRSTOR and XSAVE. */
void vector_place(struct gate *gate, const struct segue_xstate *xstate);

#endif
