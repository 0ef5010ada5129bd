/* supply.c: see supply.h. A pool is memory that nothing uses yet, so no thread is suspended when it becomes an area.
 * Pools become larger, so that few are made, and are never given back. */
#include "supply.h"

#include "decode/x86/page.h"
#include "emulate/windows/guard.h"
#include "platform/error_number.h"
#include "platform/memory/memory.h"
#include "pools.h"
#include "signals/threads/thread.h"
#include "signals/watch/adopt.h"
#include "signals/watch/areas.h"
#include "signals/watch/changes.h"

/* The first pool, and the largest except for blocks that need more. */
#define FIRST (UINT64_C(1) << 20)
#define MOST (UINT64_C(64) << 20)
/* No block is larger. */
#define LARGEST (UINT64_C(1) << 30)

static uint64_t next_size = FIRST;

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & -to;
}

/* Of a pool's pages, a span in front and one behind belong to nothing. */
static uint64_t whole_size(const struct pool *pool)
{
    return pool->size + 2 * SPAN_SIZE;
}

/* Whole spans, far from everything, so that there is room for the second view. */
static bool map_pages(struct pool *pool)
{
    const uint64_t size = whole_size(pool) + SPAN_SIZE;
    const uint64_t at = (uint64_t)(uintptr_t)platform_map_apart(size);
    if (!at)
        return false;
    const uint64_t first = round_up(at, SPAN_SIZE), behind = first + whole_size(pool);
    if (first > at)
        platform_unmap((void *)(uintptr_t)at, first - at);
    if (behind < at + size)
        platform_unmap((void *)(uintptr_t)behind, at + size - behind);
    pool->base = first + SPAN_SIZE;
    return true;
}

static void unmap_pages(const struct pool *pool)
{
    platform_unmap((void *)(uintptr_t)(pool->base - SPAN_SIZE), whole_size(pool));
}

/* `*is_free`: nothing uses the pages. */
static bool begin_area(struct pool *pool, bool *is_free)
{
    struct adopted area = {.pages = {.at = pool->base, .size = pool->size, .is_new = true}, .is_pool = true};
    *is_free = true;
    if (areas_count() == AREAS_MOST || areas_make(&area, 1) != SEGUE_OK)
        return false;
    areas_insert(&area);
    pool->alias = area.pages.alias;
    if (platform_protect(pool->base, pool->size, PLATFORM_NONE) == 0)
        return true;
    *is_free = areas_give_back(areas_behind(pool->base)) == SEGUE_OK;
    return false;
}

static size_t table_size(const struct pool *pool)
{
    const size_t each = sizeof *pool->spans + SPAN_SLOTS * sizeof *pool->blocks;
    return round_up(pool->size / SPAN_SIZE * each, PAGE);
}

static bool make(struct pool *pool)
{
    bool is_free = true;
    if (!map_pages(pool))
        return false;
    pool->blocks = platform_map_sparse(table_size(pool));
    if (pool->blocks) {
        pool->spans = (struct span *)(void *)(pool->blocks + pool->size / SPAN_SIZE * SPAN_SLOTS);
        if (begin_area(pool, &is_free))
            return true;
        platform_unmap(pool->blocks, table_size(pool));
    }
    if (is_free)
        unmap_pages(pool);
    return false;
}

/* With room for a block of that many bytes at least. False if there is no memory. With no lock held. */
static bool make_pool(uint64_t room)
{
    const uint64_t mask = adopt_begin();
    const uint64_t needed = round_up(room, SPAN_SIZE) + SPAN_SIZE;
    struct pool pool = {.size = next_size > needed ? next_size : needed};
    const bool is_made = pool_count < POOLS_MOST && make(&pool) && pools_add(&pool);
    if (is_made)
        next_size = next_size < MOST ? 2 * next_size : MOST;
    adopt_end(mask);
    return is_made;
}

void *supply_block(const struct block_order *order)
{
    const int kept = error_number_get();
    void *block = NULL;
    if (order->size < LARGEST && order->alignment < LARGEST && !thread_is_inside()) {
        block = blocks_give(order);
        /* Another thread may take what is new. */
        while (!block && make_pool(order->size + BLOCK_GAP + order->alignment))
            block = blocks_give(order);
        if (!block)
            block = blocks_give_early(order);
    }
    error_number_set(kept);
    return block;
}

bool supply_peek(void *to, uint64_t address, size_t size)
{
    return guard_copy(to, (const void *)(uintptr_t)address, size) == 0;
}

bool supply_begin(void)
{
    return watch_prepare() && blocks_begin() && make_pool(0);
}
