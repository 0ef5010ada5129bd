/* pools.h: the memory that watched blocks are in (blocks.h): pools, and the spans that these are cut into. */
#ifndef SEGUE_SIGNALS_POOLS_H
#define SEGUE_SIGNALS_POOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <segue/region.h>

#define SPAN_SIZE UINT64_C(65536)
/* The most slots of a span: of the smallest size, 64 bytes. */
#define SPAN_SLOTS (SPAN_SIZE / 64)
#define POOLS_MOST 256u

/* What a slot holds, or has held. */
struct block {
    /* 0: nothing. */
    uint64_t address, size;
    uint64_t serial, caller;
    /* Of those that were taken back. */
    struct block *next;
    uint32_t number, flags;
    bool is_freed;
};

struct span {
    /* 0: free. Of a large block's, all of its spans. */
    uint64_t slot_size;
    /* The number of the first span of a large block; else the span's own. */
    uint32_t first;
    /* Slots that were ever used. */
    uint32_t given;
};

struct pool {
    uint64_t base, size, alias;
    struct span *spans;
    /* SPAN_SLOTS for each span. */
    struct block *blocks;
};

extern struct pool pools[POOLS_MOST];
extern uint32_t pool_count;

/* False if there are too many. One at a time. */
bool pools_add(const struct pool *pool);

/* Free spans in a row, of which the first has that alignment; they get slots of that size. False if no pool has as
 * many. */
bool pools_find_spans(unsigned count, uint64_t alignment, uint64_t slot_size, struct pool **pool, struct span **span);
/* Those of a large block are free. */
void pools_release_spans(uint64_t address);
/* Of the span at that address. */
uint64_t pools_slot_size(uint64_t address);

/* ---- async-signal-safe; general registers only ---- */

/* NULL if the address is in none. */
static inline SEGUE_HOT_POLICY struct pool *pools_of(uint64_t address)
{
    for (uint32_t i = __atomic_load_n(&pool_count, __ATOMIC_ACQUIRE); i-- > 0;)
        if (address - pools[i].base < pools[i].size)
            return &pools[i];
    return NULL;
}

/* The lowest address behind this one that is in a pool; else UINT64_MAX. */
static inline uint64_t pools_behind(uint64_t address)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = __atomic_load_n(&pool_count, __ATOMIC_ACQUIRE); i-- > 0;)
        if (pools[i].base > address && pools[i].base < lowest)
            lowest = pools[i].base;
    return lowest;
}

/* What the slot holds that the address is in; NULL if that was never given out. */
static inline SEGUE_HOT_POLICY struct block *pool_find(struct pool *pool, uint64_t address)
{
    const uint64_t offset = address - pool->base;
    if (offset >= pool->size)
        return NULL;
    const struct span *span = &pool->spans[offset / SPAN_SIZE];
    const uint64_t slot_size = __atomic_load_n(&span->slot_size, __ATOMIC_ACQUIRE);
    if (!slot_size)
        return NULL;
    const uint64_t slot = slot_size > SPAN_SIZE / 2 ? 0 : offset % SPAN_SIZE / slot_size;
    struct block *block = &pool->blocks[span->first * SPAN_SLOTS + slot];
    return __atomic_load_n(&block->address, __ATOMIC_RELAXED) ? block : NULL;
}

/* Where the next slot begins, or the next span. */
static inline uint64_t pool_next_slot(const struct pool *pool, uint64_t address)
{
    const uint64_t offset = address - pool->base, start = offset & -SPAN_SIZE;
    const struct span *span = &pool->spans[offset / SPAN_SIZE];
    const uint64_t slot_size = __atomic_load_n(&span->slot_size, __ATOMIC_ACQUIRE);
    uint64_t next = start + SPAN_SIZE;
    if (slot_size > SPAN_SIZE / 2)
        next = span->first * SPAN_SIZE + slot_size;
    else if (slot_size && (offset - start) / slot_size * slot_size + slot_size < SPAN_SIZE)
        next = start + (offset - start) / slot_size * slot_size + slot_size;
    return pool->base + next;
}

#endif
