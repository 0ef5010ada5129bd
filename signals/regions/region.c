/* region.c: adds and removes the regions that the handler serves. A lock serializes changes. No fault waits for it,
 * and fork waits only briefly: a remover releases it before it waits for the grace period. */
#include "region.h"

#include <string.h>

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

#define HOT_FLAGS (SEGUE_REGION_COUNT | SEGUE_REGION_HOT_GENERAL | SEGUE_REGION_HOT_REGS | SEGUE_REGION_IDLE)
#define KNOWN_FLAGS (SEGUE_REGION_WRITE_IS_READ_WRITE | SEGUE_REGION_PROTECTION_KEYS | SEGUE_REGION_HOT | HOT_FLAGS)
_Static_assert(KNOWN_FLAGS < REGION_CHANGES, "struct region has room for them");

static struct table table;
static struct fork_lock changing = FORK_LOCK_INITIALIZER;
static uint64_t removals;
static size_t count;

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

SEGUE_HOT_POLICY const struct region *region_at(uint64_t address)
{
    return table_find(&table, address);
}

SEGUE_HOT_POLICY void region_gap(uint64_t address, uint64_t *first, uint64_t *last)
{
    table_gap(&table, address, first, last);
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
    return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
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
    __atomic_fetch_sub(&count, 1, __ATOMIC_RELEASE);
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

/* Names what is wrong with the window's own fields; NULL if they are valid. */
static const char *misuse_of_parts(const struct segue_window *window)
{
    switch (window->kind) {
    case SEGUE_WINDOW_ALIAS:
        if (!window->alias)
            return "region.window.alias is NULL";
        /* Both begin on a page, so that an access has the same alignment in the region and in its alias. */
        return (uintptr_t)window->alias % PAGE ? "region.window.alias is not a multiple of the page size" : NULL;
    case SEGUE_WINDOW_CALLBACK:
        return window->read || window->write ? NULL : "region.window.read and .write are both NULL";
    case SEGUE_WINDOW_EXPOSED:
    case SEGUE_WINDOW_FORCED:
        return NULL;
    }
    return "region.window.kind is not an enum segue_window_kind";
}

/* The same for what hot sites need. */
static const char *misuse_of_hot(const struct segue_region *region)
{
    if (!(region->flags & SEGUE_REGION_HOT)) {
        if (region->hot_policy)
            return "region.hot_policy is set without SEGUE_REGION_HOT";
        if (region->sample)
            return "region.sample is set without SEGUE_REGION_HOT";
        return region->flags & HOT_FLAGS ? "region.flags has a flag that needs SEGUE_REGION_HOT" : NULL;
    }
    if (region->window.kind != SEGUE_WINDOW_ALIAS)
        return "region.window of a hot region is not an alias";
    if (!hot_is_near(&region->window))
        return "region.window.alias of a hot region is not within 2 GiB of region.window.base";
    if (region->policy && !region->hot_policy)
        return "region.hot_policy of a hot region with a policy is NULL";
    if (region->hot_policy && !region->policy)
        return "region.policy of a hot region with a hot policy is NULL";
    if (region->hot_policy && (region->flags & SEGUE_REGION_COUNT))
        return "region.flags has SEGUE_REGION_COUNT, but a hot policy counts for itself";
    if (region->sample && !region->hot_policy)
        return "region.sample is set without a hot policy";
    if (region->sample & (region->sample - 1))
        return "region.sample is not a power of two";
    return NULL;
}

/* Names what is wrong with the region; NULL if it is valid. */
static const char *misuse(const struct segue_region *region)
{
    const struct segue_window *window = &region->window;
    if (!RESERVED_IS_ZERO(region))
        return "region.reserved is not zero: was the struct initialised?";
    if (!RESERVED_IS_ZERO(window))
        return "region.window.reserved is not zero: was the struct initialised?";
    if (window->size == 0)
        return "region.window.size is 0";
    if (window->base % PAGE)
        return "region.window.base is not a multiple of the page size";
    if (window->size % PAGE)
        return "region.window.size is not a multiple of the page size";
    if (window->base >= TABLE_LIMIT || window->size > TABLE_LIMIT - window->base)
        return "region.window reaches beyond the addresses of programs";
    if (region->flags & ~(uint32_t)KNOWN_FLAGS)
        return "region.flags has a bit that enum segue_region_flags does not define";
    const char *wrong = misuse_of_parts(window);
    return wrong ? wrong : misuse_of_hot(region);
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
    __atomic_fetch_add(&count, 1, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

enum segue_status region_add_watched(const struct segue_region *region, int64_t watched)
{
    const char *wrong = region ? misuse(region) : "region is NULL";
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

enum segue_status segue_region_update(const struct segue_region *region)
{
    const char *wrong = region ? misuse(region) : "region is NULL";
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
    struct update update = {found, updates};
    updates = &update;
    __atomic_fetch_or(&found->flags, REGION_CHANGES, __ATOMIC_SEQ_CST);
    /* A fault that comes before the change may find it idle: its pages are accessible, and it retries. */
    __atomic_fetch_add(&removals, 1, __ATOMIC_RELEASE);
    struct hot_slot *slot = slot_of(found);
    if (slot)
        hot_slot_close(slot);
    fork_lock_release(&changing);

    readers_wait(found);
    if (slot)
        hot_slot_wait(slot);

    fork_lock_take(&changing);
    forget_update(&update);
    status = update.region ? change(update.region, region) : SEGUE_NOT_FOUND;
    fork_lock_release(&changing);
    return reason_give(status, "another thread has removed the region");
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
