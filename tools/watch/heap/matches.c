/* matches.c: see matches.h. */
#include "matches.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callers.h"
#include "heap.h"
#include "signals/watch/blocks/supply.h"
#include "signals/watch/policy.h"

static struct shared *asked;
/* Some target wants to know who allocates. */
static bool wants_callers;

/* ---- functions ---- */

static bool is_in(const struct shared_function *functions, uint32_t count, uint64_t address)
{
    for (uint32_t i = 0; i < count; i++)
        if (address - functions[i].start < functions[i].end - functions[i].start)
            return true;
    return false;
}

/* What is behind C++'s operator new counts. */
static bool is_wrapper(uint64_t address)
{
    return is_in(asked->functions, asked->wrapper_count, address);
}

/* The function that a call leads to, where its beginning is in the list: it may have gone on to the allocator by a
 * jump, and has no frame then. */
static uint64_t called_in(const struct shared_range *range, uint64_t address)
{
    const uint64_t target = callers_target(address);
    for (uint32_t i = 0; target && i < range->function_count; i++)
        if (asked->functions[range->first_function + i].start == target)
            return target + 1;
    return 0;
}

/* The frames of one allocation. */
struct frames {
    uint64_t addresses[SHARED_FRAMES];
    unsigned count;
};

static bool note_frame(void *context, uint64_t address)
{
    struct frames *frames = context;
    /* The call itself may be a function's last instruction. */
    if (!is_wrapper(address - 1))
        frames->addresses[frames->count++] = address;
    return frames->count < SHARED_FRAMES;
}

static void find_frames(struct frames *frames, uint64_t caller)
{
    frames->count = 0;
    if (wants_callers || is_wrapper(caller - 1))
        callers_walk(caller, note_frame, frames);
    if (!frames->count)
        frames->addresses[frames->count++] = caller;
}

/* ---- targets ---- */

/* Who allocates it, for reports; 0 if it is not the target's. */
static uint64_t match(const struct shared_range *range, uint64_t size, const struct frames *frames)
{
    if (!range->function_count)
        return size >= range->least && size <= range->most ? frames->addresses[0] : 0;
    for (unsigned i = 0; i < frames->count; i++) {
        const uint64_t address = frames->addresses[i];
        if (is_in(asked->functions + range->first_function, range->function_count, address - 1))
            return address;
        const uint64_t called = called_in(range, address);
        if (called)
            return called;
    }
    return 0;
}

static bool may_match(uint64_t size)
{
    for (uint32_t i = 0; i < asked->range_count; i++) {
        const struct shared_range *range = &asked->ranges[i];
        if (range->is_heap && (range->function_count || (size >= range->least && size <= range->most)))
            return true;
    }
    return false;
}

static bool find_target(uint64_t size, const void *caller, struct block_order *order)
{
    struct frames frames;
    if (!may_match(size))
        return false;
    find_frames(&frames, (uint64_t)(uintptr_t)caller);
    for (uint32_t i = 0; i < asked->range_count; i++) {
        const struct shared_range *range = &asked->ranges[i];
        const uint64_t by = range->is_heap ? match(range, size, &frames) : 0;
        if (!by)
            continue;
        *order = (struct block_order){
            .size = size, .number = range->id, .flags = range->flags | SEGUE_WATCH_WAIT, .caller = by};
        return true;
    }
    return false;
}

/* ---- the face ---- */

static void *give_order(const struct block_order *order)
{
    void *block = supply_block(order);
    if (!block)
        __atomic_fetch_add(&asked->unwatched_blocks, 1, __ATOMIC_RELAXED);
    return block;
}

static void *give(size_t size, size_t alignment, bool is_zero, const void *caller)
{
    struct block_order order;
    if (!find_target(size, caller, &order))
        return NULL;
    order.alignment = alignment;
    void *block = give_order(&order);
    if (block && is_zero)
        memset(blocks_view(block), 0, size);
    return block;
}

static bool is_of_function(uint32_t number)
{
    for (uint32_t i = 0; i < asked->range_count; i++)
        if (asked->ranges[i].id == number)
            return asked->ranges[i].function_count;
    return false;
}

/* A function's block stays its block, whoever changes its size. */
static void *give_again(const void *old, size_t old_size, size_t size, const void *caller)
{
    struct block_order before = {.size = old_size}, order;
    const bool was_watched = blocks_describe(old, &before);
    if (was_watched && is_of_function(before.number)) {
        order = before;
        order.size = size;
    } else if (!find_target(size, caller, &order)) {
        return NULL;
    }
    order.alignment = BLOCK_ALIGNMENT;
    if (was_watched && order.number == before.number)
        order.serial = before.serial;
    void *block = give_order(&order);
    if (block)
        memcpy(blocks_view(block), was_watched ? blocks_view(old) : old, before.size < size ? before.size : size);
    return block;
}

static bool has(const void *block)
{
    return blocks_have(block);
}

static size_t size_of(const void *block)
{
    struct block_order order = {.size = 0};
    blocks_describe(block, &order);
    return order.size;
}

static void copy(void *to, const void *block, size_t size)
{
    memcpy(to, blocks_view(block), size);
}

static void take(void *block)
{
    static const char wrong[] = "segue watch: a block that was watched is freed twice, or by an address inside it\n";
    if (blocks_take(block))
        return;
    if (write(STDERR_FILENO, wrong, sizeof wrong - 1) > 0)
        abort();
    abort();
}

static const struct heap_face face = {give, give_again, has, size_of, copy, take};

/* ---- the beginning ---- */

bool matches_begin(struct shared *shared)
{
    asked = shared;
    for (uint32_t i = 0; i < shared->range_count; i++)
        wants_callers |= shared->ranges[i].is_heap && shared->ranges[i].function_count;
    heap_attach *attach = (heap_attach *)(uintptr_t)dlsym(RTLD_DEFAULT, HEAP_ATTACH);
    if (!supply_begin()) {
        snprintf(shared->reason, sizeof shared->reason, "there is no memory for watched blocks");
        shared->lacks_memory = true;
        return false;
    }
    if (attach && attach(&face))
        return true;
    snprintf(shared->reason, sizeof shared->reason,
             "its memory does not come from the C library: it has an allocator of its own, whose blocks are not known");
    return false;
}
