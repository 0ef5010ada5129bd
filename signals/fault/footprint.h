/* footprint.h: the regions under what one step does, found while its plan is made. */
#ifndef SEGUE_SIGNALS_FOOTPRINT_H
#define SEGUE_SIGNALS_FOOTPRINT_H

#include "emulate/plan.h"
#include "signals/regions/region.h"

/* More than one step can touch: regions are whole pages, so each of a gather's sixteen lanes lies in two at most; of a
 * string a step does what lies in the first ones. */
#define FOOTPRINT_REGIONS 40u

struct footprint {
    struct reach reach;
    /* Those that are asked, which may be one more (footprint_add). */
    const struct region *regions[FOOTPRINT_REGIONS + 1];
    size_t count;
    /* Those of all regions that were met while it was planned: the plan's pieces point to them. */
    struct segue_window windows[FOOTPRINT_REGIONS];
    /* One that the fault has found already, by its address; NULL if none. */
    const struct region *known;
    /* There were more. */
    bool is_full;
};

/* Plans over the table of regions: as plan_reach, and then in `footprint` are the regions of what the step does. After
 * plan_accesses. `known` is not looked up again: it counts although it may have been removed since. The regions live
 * until readers_leave. Precondition: readers_enter. Async-signal-safe. */
enum segue_status footprint_plan(struct footprint *footprint, const struct region *known, struct segue_plan *plan);

/* Puts one region there, if it is not: it is asked, and the plan stays as it is. Once for each plan. */
void footprint_add(struct footprint *footprint, const struct region *region);

#endif
