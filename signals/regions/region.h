/* region.h: the table of regions as the handler and the installer see it. */
#ifndef SEGUE_SIGNALS_REGION_H
#define SEGUE_SIGNALS_REGION_H

#include "table.h"

/* The region at `address`, or NULL; it stays valid until readers_leave. Precondition: readers_enter.
 * Async-signal-safe. */
const struct region *region_at(uint64_t address);

/* For an address in no region: moves `*first` and `*last`, which are around it, nearer to it, so that there is none
 * between them. Async-signal-safe. */
void region_gap(uint64_t address, uint64_t *first, uint64_t *last);

/* Begins to fetch what region_at will read. Async-signal-safe. */
void region_prefetch(uint64_t address);

/* Its window, as the public face describes it. Async-signal-safe. */
struct segue_window region_window(const struct region *region);

/* How many regions were removed so far. Async-signal-safe. */
uint64_t region_removals(void);

/* How many there are. */
size_t region_count(void);

/* Around fork: holds the table still, lets it go, and makes it usable in the child. */
void region_before_fork(void);
void region_after_fork(void);
void region_in_child(void);

#endif
