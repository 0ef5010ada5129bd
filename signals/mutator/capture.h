/* capture.h: between the assembly and the C of segue_mutator_capture. */
#ifndef SEGUE_SIGNALS_CAPTURE_H
#define SEGUE_SIGNALS_CAPTURE_H

#include <segue/mutator.h>

/* The size an area must have, and the components that it then holds; the size is 0 until segue_xstate_size(0) is
 * called. */
extern uint64_t capture_area_size, capture_features;

/* Fills in the rest of a context whose general registers, and area if not NULL, are stored. */
enum segue_status capture_finish(struct segue_mutator *context, void *area);

#endif
