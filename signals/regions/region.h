/* region.h: the table of regions, for the handler and the installer. */
#ifndef SEGUE_SIGNALS_REGION_H
#define SEGUE_SIGNALS_REGION_H

#include "table.h"

/* region_at, region_gap and region_count are compiled for general registers only. */

/* The region at `address`, or NULL; it stays valid until readers_leave. Precondition: readers_enter.
 * Async-signal-safe. */
const struct region *region_at(uint64_t address);

/* For an address in no region: narrows [*first, *last], which contains it, until the range touches no region.
 * Async-signal-safe. */
void region_gap(uint64_t address, uint64_t *first, uint64_t *last);

/* Prefetches what region_at will read. Async-signal-safe. */
void region_prefetch(uint64_t address);

/* The region's window, and the region, in the public form. Async-signal-safe. */
struct segue_window region_window(const struct region *region);
struct segue_region region_shown(const struct region *region);

/* Whether the region is being updated: then the fault must begin again, and may wait for a moment before. */
static inline bool region_changes(const struct region *region)
{
    return __atomic_load_n(&region->flags, __ATOMIC_SEQ_CST) & REGION_CHANGES;
}

/* segue_region_add; the region's hot policy is asked as struct body_request says of `watched`. */
enum segue_status region_add_watched(const struct segue_region *region, int64_t watched);

/* Whether it is such a one. Its policies are the library's own: they neither look at vector state nor change it. */
bool region_is_watched(const struct region *region);

/* Takes pages out of a region that region_add_watched has added: what is left on each side of them becomes a region. A
 * thread that accesses it meanwhile waits, and no access is missed; one to the pages begins again, and finds no region.
 * `base`: the region's. Returns as segue_region_remove; SEGUE_NO_MEMORY, and nothing has changed. As that, not
 * async-signal-safe, and not inside a fault. */
enum segue_status region_cut(const void *base, uint64_t from, uint64_t end);

/* The number of regions removed so far. Async-signal-safe. */
uint64_t region_removals(void);

/* The number of regions now. */
size_t region_count(void);

/* For fork: lock the table before, unlock it in the parent, and make it usable in the child. */
void region_before_fork(void);
void region_after_fork(void);
void region_in_child(void);

#endif
