/* region.h: the table of regions as the handler and the installer see it. */
#ifndef SEGUE_SIGNALS_REGION_H
#define SEGUE_SIGNALS_REGION_H

#include <segue/signals.h>

/* A region as the handler keeps it: one cache line, since a fault in one of a million finds it cold. */
struct region {
    uint64_t base, size;
    segue_policy *policy;
    void *context;
    segue_device_read *read;
    segue_device_write *write;
    /* The window's alias, or the context of its device; no window has both. */
    void *place;
    /* enum segue_window_kind, enum segue_region_flags. */
    uint32_t kind, flags;
};
_Static_assert(sizeof(struct region) == 64, "a region is one cache line");

/* The region at `address`, or NULL; it stays valid until readers_leave. Precondition: readers_enter.
 * Async-signal-safe. */
const struct region *region_at(uint64_t address);

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
