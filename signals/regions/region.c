/* region.c: adds and removes the regions that the handler serves. A lock serializes changes. No fault waits for it,
 * and fork waits only briefly: a remover releases it before it waits for the grace period. */
#include "region.h"

#include <string.h>

#include "misuse.h"
#include "platform/calls/calls.h"
#include "platform/process/fork_lock.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "readers.h"
#include "signals/hot/begin.h"
#include "signals/hot/constants.h"
#include "signals/hot/grace.h"
#include "signals/hot/reclaim/reclaim.h"
#include "signals/hot/slots.h"
#include "signals/syscalls/busy.h"
#include "signals/threads/thread.h"

static struct table table;
static struct fork_lock changing = FORK_LOCK_INITIALIZER;
static uint64_t removals;
static size_t count_of_regions;

/* A removal in progress: its region is hidden, and the remover waits for the readers. It lies on the remover's stack;
 * a child made by fork has a copy of that stack, but not the remover. */
struct removal {
    const struct region *region;
    struct table_node *retired;
    struct removal *next;
    bool done;
};
static struct removal *under_way;

/* An update in progress: its region has the mark. Also on the updater's stack. */
struct update {
    /* NULL once the region is removed: nothing of it is changed any more. */
    struct region *region;
    struct update *next;
};
static struct update *updates;

/* A region that is out of the table until its parts are in: a copy of it, which has the mark of one that changes; NULL:
 * none is. Who finds none in the table looks here, so no reader waits for the one that changes the table: it may be
 * preempted by the reader. Two copies, in turns. `divisions` counts those that are over, and goes up before the copy is
 * taken away: a reader looks again only if it has. */
static struct region divided_copies[2];
static const struct region *divided;
static uint32_t divisions;

/* What the reader has seen of `divided`, since it read that count, is of one time. */
static SEGUE_HOT_POLICY bool is_division(const struct region *region, uint32_t before)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&divided, __ATOMIC_RELAXED) == region &&
           __atomic_load_n(&divisions, __ATOMIC_RELAXED) == before;
}

SEGUE_HOT_POLICY const struct region *region_at(uint64_t address)
{
    for (;;) {
        const uint32_t before = __atomic_load_n(&divisions, __ATOMIC_ACQUIRE);
        const struct region *found = table_find(&table, address);
        if (found)
            return found;
        const struct region *whole = __atomic_load_n(&divided, __ATOMIC_ACQUIRE);
        bool is_there = whole && address - whole->base < whole->size;
        if (is_division(whole, before))
            return is_there ? whole : NULL;
    }
}

/* The region that is divided is one to all who ask. */
static SEGUE_HOT_POLICY void shorten(const struct region *whole, uint64_t address, uint64_t *first, uint64_t *last)
{
    const uint64_t end = whole->base + whole->size;
    if (address < whole->base && *last >= whole->base)
        *last = whole->base - 1;
    else if (address >= end && *first < end)
        *first = end;
    else if (address - whole->base < whole->size)
        *first = *last = address;
}

SEGUE_HOT_POLICY void region_gap(uint64_t address, uint64_t *first, uint64_t *last)
{
    const uint64_t lowest = *first, highest = *last;
    for (;;) {
        const uint32_t before = __atomic_load_n(&divisions, __ATOMIC_ACQUIRE);
        table_gap(&table, address, first, last);
        const struct region *whole = __atomic_load_n(&divided, __ATOMIC_ACQUIRE);
        if (whole)
            shorten(whole, address, first, last);
        if (is_division(whole, before))
            return;
        *first = lowest;
        *last = highest;
    }
}

__attribute__((hot)) void region_prefetch(uint64_t address)
{
    table_prefetch(&table, address);
}

__attribute__((hot)) struct segue_window region_window(const struct region *region)
{
    struct segue_window window = {
        .base = region->base, .size = region->size, .kind = (enum segue_window_kind)region->kind};
    if (region->kind == SEGUE_WINDOW_ALIAS) {
        window.alias = region->place;
    } else {
        window.read = region->device.read;
        window.write = region->device.write;
        window.context = region->place;
    }
    return window;
}

struct segue_region region_shown(const struct region *region)
{
    return (struct segue_region){
        .window = region_window(region),
        .policy = region->policy,
        .context = region->context,
        .hot_policy = region->kind == SEGUE_WINDOW_ALIAS ? region->hot.policy : NULL,
        .flags = region->flags & (uint32_t)~REGION_CHANGES,
        .sample = region->sample ? UINT32_C(1) << (region->sample - 1) : 0,
    };
}

__attribute__((hot)) uint64_t region_removals(void)
{
    return __atomic_load_n(&removals, __ATOMIC_ACQUIRE);
}

SEGUE_HOT_POLICY size_t region_count(void)
{
    return __atomic_load_n(&count_of_regions, __ATOMIC_ACQUIRE);
}

void region_before_fork(void)
{
    fork_lock_before(&changing);
}

void region_after_fork(void)
{
    fork_lock_after(&changing);
}

/* The hot slot of a region in the table; NULL if it has none. */
static struct hot_slot *slot_of(const struct region *region)
{
    return region->flags & SEGUE_REGION_HOT ? region->hot.slot : NULL;
}

bool region_is_watched(const struct region *region)
{
    const struct hot_slot *slot = slot_of(region);
    return slot && slot->watched;
}

/* After the grace period, with the lock held. */
static void finish(struct removal *removal)
{
    struct removal **link = &under_way;
    while (*link != removal)
        link = &(*link)->next;
    *link = removal->next;
    if (slot_of(removal->region))
        hot_slot_release(slot_of(removal->region));
    table_remove(&table, removal->region);
    table_reuse(&table, removal->retired);
    __atomic_fetch_sub(&count_of_regions, 1, __ATOMIC_RELEASE);
    removal->done = true;
}

/* In a child the update has not taken place; or it does, if the updater's signal handler forked. */
static void take_back(const struct update *update)
{
    struct region *region = update->region;
    if (!region)
        return;
    __atomic_fetch_and(&region->flags, (uint16_t)~REGION_CHANGES, __ATOMIC_RELEASE);
    if (slot_of(region))
        hot_slot_open(slot_of(region));
}

/* A child made by fork has neither the faults that removers waited for nor the removers, except one whose signal
 * handler forked: that remover finds its work done. */
void region_in_child(void)
{
    while (under_way)
        finish(under_way);
    for (; updates; updates = updates->next)
        take_back(updates);
    fork_lock_in_child(&changing);
}

/* In the table's form, with its hot slot. */
static struct region table_form(const struct segue_region *region, struct hot_slot *slot)
{
    const struct segue_window *window = &region->window;
    struct region kept = {
        .base = window->base,
        .size = window->size,
        .policy = region->policy,
        .context = region->context,
        .place = window->kind == SEGUE_WINDOW_ALIAS ? window->alias : window->context,
        .kind = (uint8_t)window->kind,
        .sample = (uint8_t)(region->sample ? __builtin_ctz(region->sample) + 1 : 0),
        .flags = (uint16_t)region->flags,
    };
    if (window->kind == SEGUE_WINDOW_ALIAS) {
        kept.hot.policy = region->hot_policy;
        kept.hot.slot = slot;
    } else {
        kept.device.read = window->read;
        kept.device.write = window->write;
    }
    return kept;
}

static enum segue_status add(const struct segue_region *region, int64_t watched)
{
    struct hot_slot *slot = NULL;
    if (region->flags & SEGUE_REGION_HOT) {
        enum segue_status status = hot_slot_take(region, watched, &slot);
        if (status != SEGUE_OK)
            return status;
    }
    const struct region kept = table_form(region, slot);
    enum segue_status status = table_add(&table, &kept);
    if (status != SEGUE_OK) {
        if (slot)
            hot_slot_release(slot);
        return status;
    }
    if (slot)
        hot_slot_open(slot);
    __atomic_fetch_add(&count_of_regions, 1, __ATOMIC_RELEASE);
    calls_look_anew();
    return SEGUE_OK;
}

enum segue_status region_add_watched(const struct segue_region *region, int64_t watched)
{
    const char *wrong = region ? region_misuse(region) : "region is NULL";
    if (wrong)
        return reason_give(SEGUE_INVALID, wrong);
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    if (region->window.kind == SEGUE_WINDOW_FORCED) {
        enum segue_status status = segue_forced_prepare();
        if (status != SEGUE_OK)
            return status;
    }
    if (region->flags & SEGUE_REGION_HOT) {
        enum segue_status status = hot_begin();
        if (status != SEGUE_OK)
            return status;
    }
    fork_lock_take(&changing);
    enum segue_status status = add(region, watched);
    fork_lock_release(&changing);
    return reason_give(status, "a page of the region's window lies in another region");
}

enum segue_status segue_region_add(const struct segue_region *region)
{
    return region_add_watched(region, 0);
}

static struct region *find_to_remove(const void *base)
{
    struct region *found = table_to_change(&table, (uint64_t)(uintptr_t)base);
    return found && found->base == (uint64_t)(uintptr_t)base ? found : NULL;
}

/* The region in the table with that base, size and window, unless it is being updated or removed; else NULL. */
static struct region *find_to_update(const void *shown)
{
    const struct segue_region *region = shown;
    const struct segue_window *window = &region->window;
    struct region *found = table_to_change(&table, window->base);
    if (!found || found->base != window->base || found->size != window->size || found->kind != window->kind ||
        (found->flags & REGION_CHANGES))
        return NULL;
    const struct segue_window present = region_window(found);
    bool is_same = present.alias == window->alias && present.read == window->read && present.write == window->write &&
                   present.context == window->context;
    return is_same ? found : NULL;
}

/* What `find` finds, when nothing accesses its alias without a check any more (signals/hot/constants.h); else NULL. The
 * lock is free meanwhile, since fork takes it and that of code changes in whatever order: so the region may become
 * another one. */
static struct region *find_without_constants(struct region *find(const void *what), const void *what,
                                             enum segue_status *status)
{
    const struct hot_slot *undone = NULL;
    for (;;) {
        struct region *found = find(what);
        struct hot_slot *slot = found ? slot_of(found) : NULL;
        *status = found ? SEGUE_OK : SEGUE_NOT_FOUND;
        if (!slot || slot == undone)
            return found;
        uint64_t openings = slot->openings;
        fork_lock_release(&changing);
        *status = constants_undo(slot);
        fork_lock_take(&changing);
        if (*status != SEGUE_OK)
            return NULL;
        undone = slot->openings == openings ? slot : NULL;
    }
}

/* Updates of a region that is removed end without it: it may be another region by then. */
static void end_updates(const struct region *region)
{
    for (struct update *update = updates; update; update = update->next)
        if (update->region == region)
            update->region = NULL;
}

enum segue_status segue_region_remove(const void *base)
{
    enum segue_status status;
    if (thread_is_inside())
        return SEGUE_BUSY;
    fork_lock_take(&changing);
    const struct region *region = find_without_constants(find_to_remove, base, &status);
    if (!region) {
        fork_lock_release(&changing);
        return status;
    }
    /* Counted before it is hidden: a fault that does not find the region must see that one was removed. */
    __atomic_fetch_add(&removals, 1, __ATOMIC_RELEASE);
    end_updates(region);
    table_hide(&table, region);
    if (slot_of(region))
        hot_slot_close(slot_of(region));
    struct removal removal = {.region = region, .retired = table_retired(&table), .next = under_way};
    under_way = &removal;
    fork_lock_release(&changing);

    readers_wait(region);
    if (slot_of(region))
        hot_slot_wait(slot_of(region));
    busy_wait(region->base, region->size);

    fork_lock_take(&changing);
    if (!removal.done)
        finish(&removal);
    fork_lock_release(&changing);
    reclaim();
    return SEGUE_OK;
}

/* Its slot from now on: the same one if its bodies fit; else another, or none. */
static enum segue_status exchange_slot(struct hot_slot **slot, const struct segue_region *region)
{
    bool is_hot = region->flags & SEGUE_REGION_HOT;
    if (*slot && is_hot && hot_slot_fits(*slot, region)) {
        hot_slot_change(*slot, region);
        return SEGUE_OK;
    }
    struct hot_slot *before = *slot;
    *slot = NULL;
    enum segue_status status = is_hot ? hot_slot_take(region, before ? before->watched : 0, slot) : SEGUE_OK;
    if (status == SEGUE_OK && before)
        hot_slot_release(before);
    else if (status != SEGUE_OK)
        *slot = before;
    return status;
}

/* Readers that find the mark wait until it is gone. The flags are written last. */
static enum segue_status change(struct region *found, const struct segue_region *region)
{
    struct hot_slot *slot = slot_of(found);
    enum segue_status status = exchange_slot(&slot, region);
    uint16_t flags = found->flags & (uint16_t)~REGION_CHANGES;
    if (status == SEGUE_OK) {
        const struct region kept = table_form(region, slot);
        found->policy = kept.policy;
        found->context = kept.context;
        found->sample = kept.sample;
        if (found->kind == SEGUE_WINDOW_ALIAS)
            found->hot = kept.hot;
        flags = kept.flags;
    }
    __atomic_store_n(&found->flags, flags, __ATOMIC_RELEASE);
    if (slot)
        hot_slot_open(slot);
    return status;
}

static void forget_update(const struct update *update)
{
    struct update **link = &updates;
    while (*link && *link != update)
        link = &(*link)->next;
    if (*link)
        *link = update->next;
}

/* Marks the region, and waits until no thread uses it; then the lock is held again. False if another thread has removed
 * it meanwhile. */
static bool begin_update(struct update *update)
{
    struct region *found = update->region;
    struct hot_slot *slot = slot_of(found);
    update->next = updates;
    updates = update;
    __atomic_fetch_or(&found->flags, REGION_CHANGES, __ATOMIC_SEQ_CST);
    /* A fault that comes before the change may find it idle: its pages are accessible, and it retries. */
    __atomic_fetch_add(&removals, 1, __ATOMIC_RELEASE);
    if (slot)
        hot_slot_close(slot);
    fork_lock_release(&changing);

    readers_wait(found);
    if (slot)
        hot_slot_wait(slot);

    fork_lock_take(&changing);
    forget_update(update);
    return update->region;
}

enum segue_status segue_region_update(const struct segue_region *region)
{
    const char *wrong = region ? region_misuse(region) : "region is NULL";
    if (wrong)
        return reason_give(SEGUE_INVALID, wrong);
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    if (region->flags & SEGUE_REGION_HOT) {
        enum segue_status status = hot_begin();
        if (status != SEGUE_OK)
            return status;
    }
    fork_lock_take(&changing);
    enum segue_status status;
    struct region *found = find_without_constants(find_to_update, region, &status);
    if (!found) {
        fork_lock_release(&changing);
        return reason_give(status, status == SEGUE_NOT_FOUND
                                       ? "there is no region with this window, or another thread changes it"
                                       : "an instruction that accesses the region's alias could not be written");
    }
    struct update update = {.region = found};
    status = begin_update(&update) ? change(found, region) : SEGUE_NOT_FOUND;
    fork_lock_release(&changing);
    return reason_give(status, "another thread has removed the region");
}

/* ---- cutting ---- */

static void give_slots(const struct region *parts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (parts[i].hot.slot)
            hot_slot_release(parts[i].hot.slot);
}

/* What is left of the region on both sides of the pages, with slots. */
static enum segue_status make_parts(const struct region *region, uint64_t from, uint64_t end,
                                    struct region parts[TABLE_PARTS], unsigned *count)
{
    const uint64_t starts[] = {region->base, end}, ends[] = {from, region->base + region->size};
    const int64_t watched = region->hot.slot ? region->hot.slot->watched : 0;
    *count = 0;
    for (unsigned i = 0; i < TABLE_PARTS; i++) {
        if (starts[i] >= ends[i])
            continue;
        struct region *part = &parts[*count];
        *part = *region;
        part->base = starts[i];
        part->size = ends[i] - starts[i];
        part->place = (char *)region->place + (starts[i] - region->base);
        part->hot.slot = NULL;
        struct segue_region shown = region_shown(part);
        enum segue_status status = region->hot.slot ? hot_slot_take(&shown, watched, &part->hot.slot) : SEGUE_OK;
        if (status != SEGUE_OK) {
            give_slots(parts, *count);
            return status;
        }
        ++*count;
    }
    return SEGUE_OK;
}

static enum segue_status divide(struct region *region, const struct region *parts, unsigned count)
{
    struct hot_slot *slot = slot_of(region);
    struct region *places[TABLE_PARTS];
    struct region *copy = &divided_copies[divisions % 2];
    /* A handler on this thread would find a region that changes, and wait for it. */
    uint64_t before = platform_signals_hold();
    *copy = *region;
    __atomic_store_n(&divided, copy, __ATOMIC_RELEASE);
    enum segue_status status = table_divide(&table, region, parts, count, places);
    __atomic_fetch_add(&divisions, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&divided, NULL, __ATOMIC_RELEASE);
    platform_signals_release(before);
    if (status != SEGUE_OK)
        return status;
    __atomic_fetch_add(&removals, 1, __ATOMIC_RELEASE);
    __atomic_fetch_add(&count_of_regions, (size_t)count - 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < count; i++) {
        __atomic_fetch_and(&places[i]->flags, (uint16_t)~REGION_CHANGES, __ATOMIC_RELEASE);
        if (parts[i].hot.slot)
            hot_slot_open(parts[i].hot.slot);
    }
    if (slot)
        hot_slot_release(slot);
    return SEGUE_OK;
}

/* With the lock, and no thread that uses the region. */
static enum segue_status cut(struct region *region, uint64_t from, uint64_t end)
{
    struct region parts[TABLE_PARTS];
    unsigned made;
    enum segue_status status = make_parts(region, from, end, parts, &made);
    if (status == SEGUE_OK) {
        status = divide(region, parts, made);
        if (status != SEGUE_OK)
            give_slots(parts, made);
    }
    if (status != SEGUE_OK) {
        __atomic_fetch_and(&region->flags, (uint16_t)~REGION_CHANGES, __ATOMIC_RELEASE);
        if (slot_of(region))
            hot_slot_open(slot_of(region));
    }
    return status;
}

enum segue_status region_cut(const void *base, uint64_t from, uint64_t end)
{
    enum segue_status status;
    fork_lock_take(&changing);
    struct region *found = find_without_constants(find_to_remove, base, &status);
    if (!found || (found->flags & REGION_CHANGES)) {
        fork_lock_release(&changing);
        return found ? SEGUE_BUSY : status;
    }
    struct update update = {.region = found};
    status = begin_update(&update) ? cut(found, from, end) : SEGUE_NOT_FOUND;
    struct table_node *retired = table_retired(&table);
    fork_lock_release(&changing);

    readers_wait(NULL);
    busy_wait(from, end - from);

    fork_lock_take(&changing);
    table_reuse(&table, retired);
    fork_lock_release(&changing);
    reclaim();
    return status;
}

/* With all signals blocked: a handler that left by siglongjmp would leave the reader's slot taken indefinitely, and
 * no mark shows that a thread has left if it then waits deeper in its stack. Nothing in between can fault. */
static bool look_up(uint64_t address, struct segue_region *copy)
{
    uint64_t kept = platform_signals_hold();
    uint32_t place = readers_enter(NULL);
    const struct region *found = region_at(address);
    if (found)
        *copy = region_shown(found);
    readers_leave(place);
    platform_signals_release(kept);
    return found != NULL;
}

enum segue_status segue_region_find(const void *address, struct segue_region *region)
{
    struct segue_region copy;
    if (!region)
        return SEGUE_INVALID;
    if (!look_up((uint64_t)(uintptr_t)address, &copy))
        return SEGUE_NOT_FOUND;
    *region = copy;
    return SEGUE_OK;
}
