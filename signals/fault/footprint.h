/* footprint.h: the regions that one step accesses, found while the step is planned. */
#ifndef SEGUE_SIGNALS_FOOTPRINT_H
#define SEGUE_SIGNALS_FOOTPRINT_H

#include "emulate/plan.h"
#include "signals/regions/region.h"

/* More regions than one step can access. Regions are whole pages, so each of a gather's sixteen lanes lies in at most
 * two; a step of a string instruction covers only the elements in the first ones. */
#define FOOTPRINT_REGIONS 40u

struct footprint {
    struct reach reach;
    /* The regions whose policies are asked; one more than planned if footprint_add adds one. */
    const struct region *regions[FOOTPRINT_REGIONS + 1];
    size_t count;
    /* The windows of all regions found during planning: the plan's access fragments point to them. */
    struct segue_window windows[FOOTPRINT_REGIONS];
    /* The region at the fault's address, already looked up; NULL if none. */
    const struct region *known;
    /* There were more regions than fit. */
    bool is_full;
};

/* Plans over the table of regions, as plan_reach does, and collects in `footprint` the regions that the step
 * accesses. Call it after plan_accesses. `known` is not looked up again: it is used even if it was removed since. The
 * regions stay valid until readers_leave. Precondition: readers_enter. Async-signal-safe. */
enum segue_status footprint_plan(struct footprint *footprint, const struct region *known, struct segue_plan *plan);

/* Adds one region, unless it is there: its policy is asked too, and the plan stays as it is. At most once per plan. */
void footprint_add(struct footprint *footprint, const struct region *region);

#endif
