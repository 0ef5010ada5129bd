/* slots.h: what bodies know of the hot regions. A region has a slot; a body of the region has the slot's distance and
 * mode compiled in, and reads the region's bounds from one of the slot's descriptors, which lie near bodies.
 *
 * A slot is closed while its region is idle, changes, or is removed: then its descriptors contain no address, so bodies
 * access memory as the program wrote it. After closing, hot_slot_wait waits until no thread is between a body's check
 * and its access, or in the slot's hot policy. */
#ifndef SEGUE_SIGNALS_HOT_SLOTS_H
#define SEGUE_SIGNALS_HOT_SLOTS_H

#include <segue/region.h>

#include "decode/x86/compiler/shared_word.h"
#include "emulate/body/body.h"
#include "signals/hot/ask/leaf.h"

/* The most hot regions; more regions with SEGUE_REGION_HOT stay without hot sites. */
#define HOT_SLOTS 4096u
/* The most descriptors of one slot: bodies lie in so many parts of the address space. */
#define HOT_PARTS 32u

struct hot_slot {
    /* The region as it was added or updated: policies see it. */
    struct segue_region region;
    /* The alias's distance from the region, and the flags that a body has compiled in. */
    int64_t distance;
    /* What quick questions call, and its context: the region's hot policy while the slot is open, else one that makes
     * the access fault. */
    segue_hot_policy *asked;
    void *context;
    enum body_mode mode;
    uint32_t mode_flags;
    /* Where the alias is; of no size while no region has the slot: its memory may have been given to anything. */
    shared_word alias, alias_size;
    /* The region's bounds are in the descriptors. */
    bool is_open;
    /* Constant addresses in the region may become the alias's; some may have, since a region has the slot. */
    bool leads, has_led;
    /* How often `leads` was set. */
    uint64_t openings;
    /* As in struct body_request. */
    uint32_t sample;
    /* As in struct body_request. */
    int64_t watched;
    /* Of its hot policy, if SEGUE_REGION_HOT_GENERAL is set. */
    enum quick_kind kind;
    /* A region has the slot; a body refers to it. */
    bool is_taken, is_used;
    struct body_descriptor *descriptors[HOT_PARTS];
};

/* Whether all of the alias is within reach of the region by a 32-bit displacement. */
bool hot_is_near(const struct segue_window *window);

/* The functions down to hot_slot_change: one at a time, under the lock of the regions; not async-signal-safe. */

/* Takes a slot for a region with SEGUE_REGION_HOT, closed; `watched` as in struct body_request. `*slot` is NULL, with
 * SEGUE_OK, if all are taken: the region then stays without hot sites. Returns SEGUE_OK; SEGUE_NO_MEMORY;
 * SEGUE_UNSUPPORTED if the system has no hot sites. */
enum segue_status hot_slot_take(const struct segue_region *region, int64_t watched, struct hot_slot **slot);
void hot_slot_release(struct hot_slot *slot);

/* Opens a slot, unless its region is idle; closes it. */
void hot_slot_open(struct hot_slot *slot);
void hot_slot_close(struct hot_slot *slot);

/* Whether an access in the slot's region touches a byte that is watched; true if all are. Async-signal-safe. */
bool hot_slot_watches(const struct hot_slot *slot, uint64_t address, uint64_t size);

/* Whether the slot can serve the region as it will be: the bodies' mode does not change. */
bool hot_slot_fits(const struct hot_slot *slot, const struct segue_region *region);

/* Gives a closed slot, for which hot_slot_wait was called, its region's new policy, context and flags. */
void hot_slot_change(struct hot_slot *slot, const struct segue_region *region);

/* The slot's descriptor within reach of a body at `at`; made if it has not been. NULL if that is impossible. One at a
 * time, by the thread that makes sites hot. Async-signal-safe. */
struct body_descriptor *hot_slot_descriptor(struct hot_slot *slot, uint64_t at);

/* The open slot whose region contains the access; NULL if none does, or while slots are opened and closed. Uses general
 * registers only. Async-signal-safe. */
const struct hot_slot *hot_slot_find(uint64_t address, uint32_t size);

/* Whether it is the address of a slot. Async-signal-safe, thread-safe. */
bool hot_slot_is_one(const struct hot_slot *slot);

/* Whether a body of one slot treats an access as one of the other does. Uses general registers only. */
static inline SEGUE_HOT_POLICY bool hot_slot_is_like(const struct hot_slot *slot, const struct hot_slot *other)
{
    return slot->mode == other->mode && slot->mode_flags == other->mode_flags && slot->sample == other->sample &&
           !slot->watched == !other->watched;
}

/* Whether a body of the slot should look for other regions where it misses its own. Async-signal-safe. */
bool hot_slots_are_looked_up(const struct hot_slot *slot);

/* Whether the address is in the alias of the slot's present region. Async-signal-safe, thread-safe. */
bool hot_slot_is_at_alias(const struct hot_slot *slot, uint64_t address);

/* Whether a body refers to any slot, or has. Thread-safe. */
bool hot_slots_are_used(void);

#endif
