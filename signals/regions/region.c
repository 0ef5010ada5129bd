/* region.c: adds and removes the regions that the handler serves. A lock serializes changes. No fault waits for it,
 * and fork waits only briefly: a remover releases it before it waits for the grace period. */
#include "region.h"

#include <string.h>

#include "platform/process/fork_lock.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "readers.h"
#include "signals/threads/thread.h"

#define KNOWN_FLAGS (SEGUE_REGION_WRITE_IS_READ_WRITE | SEGUE_REGION_PROTECTION_KEYS)
_Static_assert(KNOWN_FLAGS <= UINT16_MAX, "struct region has 16 bits for them");

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

const struct region *region_at(uint64_t address)
{
    return table_find(&table, address);
}

void region_gap(uint64_t address, uint64_t *first, uint64_t *last)
{
    table_gap(&table, address, first, last);
}

void region_prefetch(uint64_t address)
{
    table_prefetch(&table, address);
}

struct segue_window region_window(const struct region *region)
{
    bool is_alias = region->kind == SEGUE_WINDOW_ALIAS;
    return (struct segue_window){
        .base = region->base,
        .size = region->size,
        .kind = (enum segue_window_kind)region->kind,
        .alias = is_alias ? region->place : NULL,
        .read = region->read,
        .write = region->write,
        .context = is_alias ? NULL : region->place,
    };
}

uint64_t region_removals(void)
{
    return __atomic_load_n(&removals, __ATOMIC_ACQUIRE);
}

size_t region_count(void)
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

/* After the grace period, with the lock held. */
static void finish(struct removal *removal)
{
    struct removal **link = &under_way;
    while (*link != removal)
        link = &(*link)->next;
    *link = removal->next;
    table_remove(&table, removal->region);
    table_reuse(&table, removal->retired);
    __atomic_fetch_sub(&count, 1, __ATOMIC_RELEASE);
    removal->done = true;
}

/* A child made by fork has neither the faults that removers waited for nor the removers, except one whose signal
 * handler forked: that remover finds its work done. */
void region_in_child(void)
{
    while (under_way)
        finish(under_way);
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

/* Names what is wrong with the region; NULL if it is valid. */
static const char *misuse(const struct segue_region *region)
{
    const struct segue_window *window = &region->window;
    if (region->reserved32 || !RESERVED_IS_ZERO(region))
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
    return misuse_of_parts(window);
}

static enum segue_status add(const struct segue_region *region)
{
    const struct segue_window *window = &region->window;
    const struct region kept = {
        .base = window->base,
        .size = window->size,
        .policy = region->policy,
        .context = region->context,
        .read = window->read,
        .write = window->write,
        .place = window->kind == SEGUE_WINDOW_ALIAS ? window->alias : window->context,
        .kind = (uint16_t)window->kind,
        .flags = (uint16_t)region->flags,
    };
    enum segue_status status = table_add(&table, &kept);
    if (status != SEGUE_OK)
        return status;
    __atomic_fetch_add(&count, 1, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

enum segue_status segue_region_add(const struct segue_region *region)
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
    fork_lock_take(&changing);
    enum segue_status status = add(region);
    fork_lock_release(&changing);
    return reason_give(status, "a page of the region's window lies in another region");
}

enum segue_status segue_region_remove(const void *base)
{
    if (thread_is_inside())
        return SEGUE_BUSY;
    fork_lock_take(&changing);
    const struct region *region = table_find(&table, (uint64_t)(uintptr_t)base);
    if (!region || region->base != (uint64_t)(uintptr_t)base) {
        fork_lock_release(&changing);
        return SEGUE_NOT_FOUND;
    }
    /* Counted before it is hidden: a fault that does not find the region must see that one was removed. */
    __atomic_fetch_add(&removals, 1, __ATOMIC_RELEASE);
    table_hide(&table, region);
    struct removal removal = {.region = region, .retired = table_retired(&table), .next = under_way};
    under_way = &removal;
    fork_lock_release(&changing);

    readers_wait(region);

    fork_lock_take(&changing);
    if (!removal.done)
        finish(&removal);
    fork_lock_release(&changing);
    return SEGUE_OK;
}

/* With all signals blocked: a handler that left by siglongjmp would leave the reader's slot taken indefinitely, and
 * no mark shows that a thread has left if it then waits deeper in its stack. Nothing in between can fault. */
static bool look_up(uint64_t address, struct segue_region *copy)
{
    uint64_t kept = platform_signals_hold();
    uint32_t place = readers_enter(NULL);
    const struct region *found = region_at(address);
    if (found)
        *copy = (struct segue_region){
            .window = region_window(found), .policy = found->policy, .context = found->context, .flags = found->flags};
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
