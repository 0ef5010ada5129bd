/* vector.h: a guest's extended state: its area, and how it is loaded and stored; one file for each processor. */
#ifndef SEGUE_CTX_VECTOR_H
#define SEGUE_CTX_VECTOR_H

#include "ctx/guest/gate.h"

/* Makes an area for those of the wanted components (as in XCR0) that the system has in use, in its initial state.
 * SEGUE_OK; SEGUE_UNSUPPORTED without XSAVE; SEGUE_NO_MEMORY. */
enum segue_status vector_new(struct segue_xstate *xstate, uint64_t wanted);

/* Takes the area for the gate: by moves where it is one that they can do, else by XRSTOR and XSAVE. */
void vector_place(struct gate *gate, const struct segue_xstate *xstate);

#endif
