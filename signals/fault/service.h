/* service.h: one fault while it is served: what the kernel reported, what the instruction wants, the regions it wants
 * it from, and whether that can be done. It stands in the fault's work area (work.h). */
#ifndef SEGUE_SIGNALS_SERVICE_H
#define SEGUE_SIGNALS_SERVICE_H

#include <segue/emulate.h>

#include "platform/frame.h"

#include "footprint.h"

struct service {
    struct fault_frame frame;
    struct segue_plan plan;
    enum segue_status can_step;
    struct footprint footprint;
    /* How many regions had been removed before this fault looked for any (region_removals). */
    uint64_t removals;
    /* The protection keys' rights that the handler began with. */
    uint32_t rights;
};

#endif
