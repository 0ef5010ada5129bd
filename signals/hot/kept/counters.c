/* counters.c: see counters.h. */
#include "counters.h"

#include <stddef.h>

#include "decode/x86/compiler/shared_word.h"
#include "emulate/body/body.h"
#include "platform/memory/memory.h"
#include "platform/threads/base.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"

/* The most threads that count at the same time. */
#define BLOCKS 4096u
/* How many blocks are looked at for one whose thread has ended: each takes a system call. */
#define LOOKS 64u
#define SIZE (BODY_COUNTERS_MOST * sizeof(uint64_t))

static struct block {
    /* The process and the TID of the thread that has it; 0 if none. */
    shared_word owner;
    /* NULL until a thread has had it. */
    shared_word *counters;
} * blocks;
/* Of the blocks that threads have, or have had, the last one's number plus one. */
static uint32_t block_count;
static int32_t offset;
static bool is_stopped;

bool counters_prepare(void)
{
    uint64_t fs, gs;
    if (blocks)
        return true;
    platform_bases_read(false, &fs, &gs);
    int64_t distance = (int64_t)((uint64_t)(uintptr_t)&body_counters - fs);
    blocks = platform_map_apart(BLOCKS * sizeof *blocks);
    /* No base is known of a system on which there are no bodies. */
    if (fs && distance == (int32_t)distance)
        offset = (int32_t)distance;
    return blocks != NULL;
}

int32_t counters_at(void)
{
    return __atomic_load_n(&is_stopped, __ATOMIC_SEQ_CST) ? 0 : offset;
}

void counters_stop(void)
{
    __atomic_store_n(&is_stopped, true, __ATOMIC_SEQ_CST);
}

/* What leads bodies to the calling thread's block; to a block that is mapped. */
static uint64_t own_word(void)
{
    return __atomic_load_n(&body_counters, __ATOMIC_RELAXED);
}

static uint64_t word_of(const struct block *block)
{
    return (uint64_t)(uintptr_t)block->counters + BODY_COUNTERS_BIAS;
}

/* ---- whose block it is ---- */

static uint64_t owner_of(int process, int thread)
{
    return (uint64_t)(uint32_t)process << 32 | (uint32_t)thread;
}

/* Of a process that shares this memory, or whose memory this is a copy of, nothing is known: in a child that ran no
 * fork handlers, the owner may be the thread that forked, by its TID in the parent. */
static bool is_gone(uint64_t owner, int process)
{
    const struct identity thread = {(int)(uint32_t)owner, IDENTITY_OWN};
    return owner >> 32 == (uint32_t)process && identity_is_gone(thread);
}

static bool take(struct block *block, uint64_t owner, uint64_t self)
{
    return __atomic_compare_exchange_n(&block->owner, &owner, self, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static shared_word *counters_of(const struct block *block)
{
    return __atomic_load_n(&block->counters, __ATOMIC_ACQUIRE);
}

/* A block that a thread has had. */
static struct block *take_again(uint64_t self, int process)
{
    static uint32_t turn;
    uint32_t count = __atomic_load_n(&block_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++)
        if (__atomic_load_n(&blocks[i].owner, __ATOMIC_RELAXED) == 0 && counters_of(&blocks[i]) &&
            take(&blocks[i], 0, self))
            return &blocks[i];
    for (uint32_t look = 0; look < LOOKS && look < count; look++) {
        struct block *block = &blocks[__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % count];
        uint64_t owner = __atomic_load_n(&block->owner, __ATOMIC_ACQUIRE);
        if (owner && is_gone(owner, process) && take(block, owner, self))
            return block;
    }
    return NULL;
}

/* Whoever adds up looks at so many blocks from now on. */
static void raise_count(uint32_t count)
{
    uint32_t before = __atomic_load_n(&block_count, __ATOMIC_RELAXED);
    while (before < count &&
           !__atomic_compare_exchange_n(&block_count, &before, count, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

/* Only touched pages of it take memory. */
static bool map_counters(struct block *block)
{
    shared_word *counters = counters_of(block);
    if (counters)
        return true;
    counters = platform_map_sparse(SIZE);
    __atomic_store_n(&block->counters, counters, __ATOMIC_RELEASE);
    return counters != NULL;
}

static struct block *take_new(uint64_t self)
{
    uint32_t i = 0;
    while (i < BLOCKS && (__atomic_load_n(&blocks[i].owner, __ATOMIC_RELAXED) || !take(&blocks[i], 0, self)))
        i++;
    if (i == BLOCKS)
        return NULL;
    if (map_counters(&blocks[i])) {
        raise_count(i + 1);
        return &blocks[i];
    }
    __atomic_store_n(&blocks[i].owner, 0, __ATOMIC_RELEASE);
    return NULL;
}

bool counters_attach(void)
{
    if (own_word())
        return true;
    int process = platform_process_id();
    uint64_t self = owner_of(process, platform_thread_id());
    struct block *block = take_again(self, process);
    if (!block && (block = take_new(self)) == NULL)
        return false;
    /* A handler may have interrupted this, and have counted. */
    if (own_word())
        __atomic_store_n(&block->owner, 0, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&body_counters, word_of(block), __ATOMIC_RELAXED);
    return true;
}

void counters_in_child(void)
{
    uint64_t self = owner_of(platform_process_id(), platform_thread_id());
    for (uint32_t i = 0; blocks && i < BLOCKS; i++) {
        bool is_own = own_word() && own_word() == word_of(&blocks[i]);
        __atomic_store_n(&blocks[i].owner, is_own ? self : 0, __ATOMIC_RELEASE);
    }
}

/* ---- counts ---- */

void counters_take_back(uint32_t record)
{
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    shared_word *counters = (shared_word *)(uintptr_t)(own_word() - BODY_COUNTERS_BIAS);
    __atomic_fetch_sub(&counters[record], 1, __ATOMIC_RELAXED);
}

uint64_t counters_sum(uint32_t record)
{
    uint64_t sum = 0;
    uint32_t count = record < BODY_COUNTERS_MOST ? __atomic_load_n(&block_count, __ATOMIC_SEQ_CST) : 0;
    for (uint32_t i = 0; i < count; i++) {
        const shared_word *counters = counters_of(&blocks[i]);
        sum += counters ? __atomic_load_n(&counters[record], __ATOMIC_RELAXED) : 0;
    }
    return sum;
}

/* A page that no thread has counted in stays untouched. */
void counters_clear(uint32_t record)
{
    uint32_t count = record < BODY_COUNTERS_MOST ? __atomic_load_n(&block_count, __ATOMIC_SEQ_CST) : 0;
    for (uint32_t i = 0; i < count; i++) {
        shared_word *counters = counters_of(&blocks[i]);
        if (counters && __atomic_load_n(&counters[record], __ATOMIC_RELAXED))
            __atomic_store_n(&counters[record], 0, __ATOMIC_RELAXED);
    }
}
