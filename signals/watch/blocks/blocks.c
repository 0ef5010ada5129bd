/* blocks.c: see blocks.h.
 *
 * A pool is cut into spans of 64 KiB. A span has slots of one size; a large block has several spans for itself, and one
 * slot. So a block is found from any address in it by two divisions and no search, which a policy does without a lock.
 * Slots that were taken back wait in a queue for each size, and are given out again only when QUARANTINE others have
 * been taken back, or when there is no memory for another pool: until then an access to the block is reported as one to
 * a freed block. */
#include "blocks.h"

#include "platform/error_number.h"
#include "platform/memory/memory.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "pools.h"

/* The slots of a size up to 1 KiB differ by 64 bytes, above that by a quarter of a power of two. */
#define LARGEST_SLOT UINT64_C(8192)
#define SMALL_SLOT UINT64_C(1024)
#define CLASSES (LARGEST_SLOT / BLOCK_GAP + 1)
/* How many slots of a size wait before one is given out again; of large blocks. */
#define QUARANTINE 1024u
#define LARGE_QUARANTINE 16u

/* Slots that were taken back, in this order. */
struct queue_of_freed {
    struct block *first, *last;
    unsigned count;
};

/* By the size of their slots. */
static struct {
    struct queue_of_freed freed;
    /* The span from which slots are given out that were never used. */
    struct pool *pool;
    struct span *span;
} classes[CLASSES];

static struct queue_of_freed large;
static struct fork_lock lock = FORK_LOCK_INITIALIZER;
static uint64_t last_serial;

/* ---- queues ---- */

static void put_last(struct queue_of_freed *queue, struct block *block)
{
    block->next = NULL;
    if (queue->last)
        queue->last->next = block;
    else
        queue->first = block;
    queue->last = block;
    queue->count++;
}

static struct block *take_first(struct queue_of_freed *queue)
{
    struct block *block = queue->first;
    queue->first = block->next;
    queue->last = queue->first ? queue->last : NULL;
    queue->count--;
    return block;
}

/* ---- slots ---- */

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & -to;
}

/* Of a block with its gap; more than LARGEST_SLOT for a large one. */
static uint64_t slot_size_of(uint64_t size, uint64_t alignment)
{
    uint64_t slot = round_up(size + BLOCK_GAP, BLOCK_ALIGNMENT);
    if (slot > SMALL_SLOT && slot <= LARGEST_SLOT)
        slot = round_up(slot, (UINT64_C(1) << (63 - __builtin_clzll(slot))) / 4);
    return alignment > LARGEST_SLOT ? UINT64_MAX : round_up(slot, alignment > BLOCK_ALIGNMENT ? alignment : 1);
}

static struct block *next_of_span(unsigned class, uint64_t slot)
{
    struct span *span = classes[class].span;
    if (!span || span->given == SPAN_SIZE / slot) {
        if (!pools_find_spans(1, 1, slot, &classes[class].pool, &classes[class].span))
            return NULL;
        span = classes[class].span;
    }
    struct pool *pool = classes[class].pool;
    const uint64_t number = (uint64_t)(span - pool->spans);
    struct block *block = &pool->blocks[number * SPAN_SLOTS + span->given];
    __atomic_store_n(&block->address, pool->base + number * SPAN_SIZE + span->given * slot, __ATOMIC_RELAXED);
    span->given++;
    return block;
}

/* `waiting`: how many go on waiting. */
static struct block *give_small(uint64_t slot, unsigned waiting)
{
    const unsigned class = (unsigned)(slot / BLOCK_GAP);
    struct queue_of_freed *freed = &classes[class].freed;
    return freed->count > waiting ? take_first(freed) : next_of_span(class, slot);
}

/* Their memory is free already; their addresses are, too, from now on. */
static void reuse_large(unsigned left)
{
    while (large.count > left) {
        struct block *block = take_first(&large);
        pools_release_spans(block->address);
        __atomic_store_n(&block->address, 0, __ATOMIC_RELAXED);
    }
}

static struct block *give_large(uint64_t size, uint64_t alignment, unsigned waiting)
{
    const unsigned count = (unsigned)((size + BLOCK_GAP + SPAN_SIZE - 1) / SPAN_SIZE);
    struct pool *pool;
    struct span *span;
    reuse_large(waiting);
    if (!pools_find_spans(count, alignment, SPAN_SIZE * count, &pool, &span))
        return NULL;
    const uint64_t number = (uint64_t)(span - pool->spans);
    struct block *block = &pool->blocks[number * SPAN_SLOTS];
    __atomic_store_n(&block->address, pool->base + number * SPAN_SIZE, __ATOMIC_RELAXED);
    return block;
}

/* ---- giving and taking ---- */

static void *give(const struct block_order *order, unsigned waiting, unsigned waiting_large)
{
    const uint64_t slot = slot_size_of(order->size, order->alignment);
    fork_lock_take(&lock);
    struct block *block =
        slot <= LARGEST_SLOT ? give_small(slot, waiting) : give_large(order->size, order->alignment, waiting_large);
    if (block) {
        block->size = order->size;
        block->caller = order->caller;
        block->serial = order->serial ? order->serial : ++last_serial;
        block->flags = order->flags;
        __atomic_store_n(&block->number, order->number, __ATOMIC_RELAXED);
        __atomic_store_n(&block->is_freed, false, __ATOMIC_RELEASE);
    }
    fork_lock_release(&lock);
    return block ? (void *)(uintptr_t)block->address : NULL;
}

void *blocks_give(const struct block_order *order)
{
    return give(order, QUARANTINE, LARGE_QUARANTINE);
}

void *blocks_give_early(const struct block_order *order)
{
    return give(order, 0, 0);
}

static struct block *block_at(const void *address)
{
    struct pool *pool = pools_of((uint64_t)(uintptr_t)address);
    struct block *block = pool ? pool_find(pool, (uint64_t)(uintptr_t)address) : NULL;
    return block && block->address == (uint64_t)(uintptr_t)address && !block->is_freed ? block : NULL;
}

bool blocks_have(const void *block)
{
    return pools_of((uint64_t)(uintptr_t)block) != NULL;
}

bool blocks_describe(const void *address, struct block_order *order)
{
    const struct block *block = block_at(address);
    if (block)
        *order = (struct block_order){.size = block->size,
                                      .number = block->number,
                                      .flags = block->flags,
                                      .caller = block->caller,
                                      .serial = block->serial};
    return block;
}

void *blocks_view(const void *block)
{
    const struct pool *pool = pools_of((uint64_t)(uintptr_t)block);
    return (void *)((uintptr_t)block - pool->base + pool->alias);
}

bool blocks_take(void *address)
{
    const int kept = error_number_get();
    fork_lock_take(&lock);
    struct block *block = block_at(address);
    if (block) {
        const uint64_t slot = pools_slot_size(block->address);
        __atomic_store_n(&block->is_freed, true, __ATOMIC_RELAXED);
        put_last(slot <= LARGEST_SLOT ? &classes[slot / BLOCK_GAP].freed : &large, block);
        if (slot > LARGEST_SLOT)
            platform_view_release((uint64_t)(uintptr_t)blocks_view(address), slot);
    }
    fork_lock_release(&lock);
    error_number_set(kept);
    return block;
}

/* ---- looking ---- */

static inline SEGUE_HOT_POLICY struct watch_range range_of(const struct block *block)
{
    const uint64_t start = __atomic_load_n(&block->address, __ATOMIC_RELAXED);
    return (struct watch_range){.start = start,
                                .end = start + __atomic_load_n(&block->size, __ATOMIC_RELAXED),
                                .number = __atomic_load_n(&block->number, __ATOMIC_RELAXED),
                                .flags = block->flags};
}

static inline SEGUE_HOT_POLICY bool touches(const struct watch_range *range, const struct watch_access *access)
{
    return range->start && range->start < access->address + access->size && range->end > access->address &&
           index_wants(range, access);
}

SEGUE_HOT_POLICY enum block_touch blocks_look(const struct watch_access *access, struct watch_range *range)
{
    struct pool *pool = pools_of(access->address);
    struct block *block = pool ? pool_find(pool, access->address) : NULL;
    if (!pool || pool_find(pool, access->address + access->size - 1) != block)
        return BLOCK_SEVERAL;
    if (!block)
        return BLOCK_NONE;
    *range = range_of(block);
    return touches(range, access) ? BLOCK_ONE : BLOCK_NONE;
}

bool blocks_next(const struct watch_access *access, uint64_t *at, struct block_seen *seen)
{
    const uint64_t end = access->address + access->size;
    while (*at < end) {
        struct pool *pool = pools_of(*at);
        if (!pool) {
            *at = pools_behind(*at);
            continue;
        }
        const struct block *block = pool_find(pool, *at);
        *at = pool_next_slot(pool, *at);
        if (!block)
            continue;
        seen->range = range_of(block);
        seen->shown = (struct queue_block){.start = seen->range.start,
                                           .size = seen->range.end - seen->range.start,
                                           .serial = block->serial,
                                           .caller = block->caller,
                                           .is_freed = __atomic_load_n(&block->is_freed, __ATOMIC_ACQUIRE)};
        if (touches(&seen->range, access))
            return true;
    }
    return false;
}

/* ---- fork ---- */

static void before_fork(void)
{
    fork_lock_before(&lock);
}

static void in_parent(void)
{
    fork_lock_after(&lock);
}

static void in_child(void)
{
    fork_lock_in_child(&lock);
}

bool blocks_begin(void)
{
    static const struct fork_hooks hooks = {before_fork, in_parent, in_child};
    return fork_register(FORK_BLOCKS, &hooks);
}
