/* region.c: the regions that the handler serves. Changes take turns under a lock that no fault and no fork ever waits
 * for long: a remover gives it up before it waits for the faults in progress. */
#include "region.h"

#include <pthread.h>
#include <string.h>

#include "../emulate/forced.h"
#include "pool.h"
#include "readers.h"
#include "table.h"
#include "thread.h"

#define PAGE ((uint64_t)1 << TABLE_PAGE_BITS)
#define KNOWN_FLAGS SEGUE_REGION_WRITE_IS_READ_WRITE

static struct table table;
static struct pool regions = {.size = sizeof(struct region)};
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static uint64_t removals;
static size_t count;

const struct region *region_at(uint64_t address)
{
    return table_find(&table, address);
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
    pthread_mutex_lock(&changing);
}

void region_after_fork(void)
{
    pthread_mutex_unlock(&changing);
}

void region_in_child(void)
{
    pthread_mutex_init(&changing, NULL);
}

static bool has_its_parts(const struct segue_window *window)
{
    switch (window->kind) {
    case SEGUE_WINDOW_ALIAS:
        /* Page for page, so that an access is aligned in the one as in the other. */
        return window->alias && (uintptr_t)window->alias % PAGE == 0;
    case SEGUE_WINDOW_CALLBACK:
        return window->read || window->write;
    case SEGUE_WINDOW_EXPOSED:
    case SEGUE_WINDOW_FORCED:
        return true;
    }
    return false;
}

static bool is_valid(const struct segue_region *region)
{
    const struct segue_window *window = &region->window;
    return window->size && window->base % PAGE == 0 && window->size % PAGE == 0 && window->base < TABLE_LIMIT &&
           window->size <= TABLE_LIMIT - window->base && !(region->flags & ~(uint32_t)KNOWN_FLAGS) &&
           has_its_parts(window);
}

static enum segue_status add(const struct segue_region *region)
{
    const struct segue_window *window = &region->window;
    struct region *kept = pool_take(&regions);
    if (!kept)
        return SEGUE_NO_MEMORY;
    *kept = (struct region){
        .base = window->base,
        .size = window->size,
        .policy = region->policy,
        .context = region->context,
        .read = window->read,
        .write = window->write,
        .place = window->kind == SEGUE_WINDOW_ALIAS ? window->alias : window->context,
        .kind = window->kind,
        .flags = region->flags,
    };
    enum segue_status status = table_add(&table, window->base, window->size, kept);
    if (status != SEGUE_OK) {
        pool_give(&regions, kept);
        return status;
    }
    __atomic_fetch_add(&count, 1, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

enum segue_status segue_region_add(const struct segue_region *region)
{
    if (!region || !is_valid(region))
        return SEGUE_INVALID;
    if (thread_self.depth)
        return SEGUE_BUSY;
    if (region->window.kind == SEGUE_WINDOW_FORCED) {
        enum segue_status status = forced_prepare();
        if (status != SEGUE_OK)
            return status;
    }
    pthread_mutex_lock(&changing);
    enum segue_status status = add(region);
    pthread_mutex_unlock(&changing);
    return status;
}

enum segue_status segue_region_remove(const void *base)
{
    if (thread_self.depth)
        return SEGUE_BUSY;
    pthread_mutex_lock(&changing);
    struct region *region = table_find(&table, (uint64_t)(uintptr_t)base);
    if (!region || region->base != (uint64_t)(uintptr_t)base) {
        pthread_mutex_unlock(&changing);
        return SEGUE_NOT_FOUND;
    }
    /* Counted first: whoever no longer finds the region must know that one was removed. */
    __atomic_fetch_add(&removals, 1, __ATOMIC_RELEASE);
    table_remove(&table, region->base, region->size);
    struct table_node *retired = table_retired(&table);
    __atomic_fetch_sub(&count, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&changing);

    readers_wait();

    pthread_mutex_lock(&changing);
    table_reuse(&table, retired);
    pool_give(&regions, region);
    pthread_mutex_unlock(&changing);
    return SEGUE_OK;
}

enum segue_status segue_region_find(const void *address, struct segue_region *region)
{
    if (!region)
        return SEGUE_INVALID;
    unsigned token = readers_enter();
    const struct region *found = region_at((uint64_t)(uintptr_t)address);
    if (found)
        *region = (struct segue_region){
            .window = region_window(found), .policy = found->policy, .context = found->context, .flags = found->flags};
    readers_leave(token);
    return found ? SEGUE_OK : SEGUE_NOT_FOUND;
}
