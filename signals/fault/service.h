/* service.h: the record of one fault while it is served: what the kernel reported, the instruction's plan, the
 * regions that it accesses, and whether it can be stepped. It lies in the fault's work area (work.h). */
#ifndef SEGUE_SIGNALS_SERVICE_H
#define SEGUE_SIGNALS_SERVICE_H

#include <segue/region.h>

#include "emulate/details.h"
#include "platform/frame/frame.h"

#include "footprint.h"

struct service {
    struct fault_frame frame;
    /* Policies see it. */
    LARGE_PLAN(plan);
    enum segue_status can_step;
    struct footprint footprint;
    /* The number of regions removed before this fault first looked one up (region_removals). */
    uint64_t removals;
    /* The number of changes of code (hot_changes) before this fault first read the instruction. */
    uint64_t changes;
    /* The system call that accesses; SEGUE_NO_SYSTEM_CALL: an instruction does. */
    int32_t system_call;
    /* The protection-key rights that the handler began with. */
    uint32_t rights;
};

#endif
