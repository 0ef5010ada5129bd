/* pools.c: see pools.h. */
#include "pools.h"

struct pool pools[POOLS_MOST];
uint32_t pool_count;

bool pools_add(const struct pool *pool)
{
    if (pool_count == POOLS_MOST)
        return false;
    pools[pool_count] = *pool;
    __atomic_store_n(&pool_count, pool_count + 1, __ATOMIC_RELEASE);
    return true;
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & -to;
}

/* How many free spans there are from there on, of those that are wanted. */
static unsigned count_free(const struct pool *pool, uint64_t from, unsigned wanted)
{
    const uint64_t all = pool->size / SPAN_SIZE;
    unsigned count = 0;
    while (count < wanted && from + count < all && !pool->spans[from + count].slot_size)
        count++;
    return count;
}

static bool find_in(const struct pool *pool, unsigned count, uint64_t alignment, uint64_t *first)
{
    const uint64_t step = alignment > SPAN_SIZE ? alignment / SPAN_SIZE : 1;
    uint64_t at = (round_up(pool->base, alignment > SPAN_SIZE ? alignment : SPAN_SIZE) - pool->base) / SPAN_SIZE;
    while (at + count <= pool->size / SPAN_SIZE) {
        const unsigned free = count_free(pool, at, count);
        if (free == count) {
            *first = at;
            return true;
        }
        at += round_up(free + 1, step);
    }
    return false;
}

bool pools_find_spans(unsigned count, uint64_t alignment, uint64_t slot_size, struct pool **pool, struct span **span)
{
    for (uint32_t i = 0; i < __atomic_load_n(&pool_count, __ATOMIC_ACQUIRE); i++) {
        uint64_t first;
        if (!find_in(&pools[i], count, alignment, &first))
            continue;
        *pool = &pools[i];
        *span = &pools[i].spans[first];
        for (unsigned n = 0; n < count; n++) {
            (*span)[n].first = (uint32_t)first;
            (*span)[n].given = 0;
            __atomic_store_n(&(*span)[n].slot_size, slot_size, __ATOMIC_RELEASE);
        }
        return true;
    }
    return false;
}

void pools_release_spans(uint64_t address)
{
    struct pool *pool = pools_of(address);
    struct span *span = &pool->spans[(address - pool->base) / SPAN_SIZE];
    const uint64_t count = span->slot_size / SPAN_SIZE;
    for (uint64_t i = 0; i < count; i++)
        __atomic_store_n(&span[i].slot_size, 0, __ATOMIC_RELEASE);
}

uint64_t pools_slot_size(uint64_t address)
{
    const struct pool *pool = pools_of(address);
    return pool->spans[(address - pool->base) / SPAN_SIZE].slot_size;
}
