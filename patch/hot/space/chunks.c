/* chunks.c: see chunks.h. */
#include "chunks.h"

#include <string.h>

#include "gaps.h"
#include "platform/memory/memory.h"
#include "platform/process/once.h"

#define BUCKETS (UINT32_C(1) << (64 - CHUNK_HASH_SHIFT))
/* Two views, the guards of one, and the reserved addresses. */
#define MAPPINGS_OF_CHUNK 5u
/* Other threads may take the addresses that were found free. */
#define TRIES 4u
/* Smaller chunks have no data. */
#define SMALL (UINT64_C(4) << 20)

static struct chunk *chunks;
static uint32_t chunk_count;
/* By the bits above CHUNK_BITS: the number of the first chunk, plus 1. */
static uint32_t buckets[BUCKETS];
static uint64_t memory_used, mappings_used;
static uint64_t most_memory = UINT64_MAX, most_mappings = UINT64_MAX;
/* 0 in a child made by fork. */
static uint32_t *inhabited;
static uint32_t generation;

static bool reserve(void)
{
    const size_t bits = CHUNKS * (CHUNK_PAGES / 8);
    struct chunk *table = platform_map_apart(CHUNKS * sizeof *table + bits);
    uint32_t *word = platform_map(PAGE);
    if (!table || !word) {
        if (table)
            platform_unmap(table, CHUNKS * sizeof *table + bits);
        if (word)
            platform_unmap(word, PAGE);
        return false;
    }
    platform_wipe_on_fork(word, PAGE);
    *word = 1;
    inhabited = word;
    __atomic_store_n(&chunks, table, __ATOMIC_RELEASE);
    return true;
}

enum segue_status chunks_prepare(void)
{
    static struct once reserved;
    return once(&reserved, reserve) ? SEGUE_OK : SEGUE_NO_MEMORY;
}

void chunks_limit(uint64_t memory, uint64_t mappings)
{
    most_memory = memory;
    most_mappings = mappings;
}

struct chunks_used chunks_used(void)
{
    return (struct chunks_used){memory_used, mappings_used, chunk_count};
}

bool chunks_are_inherited(void)
{
    if (*inhabited)
        return false;
    *inhabited = 1;
    generation++;
    return true;
}

void chunks_lend(void)
{
    for (uint32_t i = 0; i < chunk_count; i++)
        chunks[i].is_lent = true;
}

/* --- Looking up. --- */

static uint32_t *bucket_of(uint64_t address)
{
    return &buckets[(address >> CHUNK_BITS) * CHUNK_HASH >> CHUNK_HASH_SHIFT];
}

const struct chunk *chunk_find(uint64_t address)
{
    for (uint32_t at = __atomic_load_n(bucket_of(address), __ATOMIC_ACQUIRE); at; at = chunks[at - 1].next)
        if (address - chunks[at - 1].start < chunks[at - 1].size)
            return &chunks[at - 1];
    return NULL;
}

struct chunk *chunk_numbered(uint32_t number)
{
    return &chunks[number];
}

const uint32_t *chunk_buckets(void)
{
    return buckets;
}

uint32_t chunk_page_number(const struct chunk *chunk, uint64_t address)
{
    return (uint32_t)(chunk - chunks) * CHUNK_PAGES + (uint32_t)((address - chunk->start) / PAGE);
}

/* --- Making. --- */

static struct chunk *add(uint64_t start, uint64_t size, const struct executable_memory *memory)
{
    struct chunk *chunk = &chunks[chunk_count++];
    uint32_t *bucket = bucket_of(start);
    *chunk = (struct chunk){.start = start, .size = size, .memory = *memory, .generation = generation};
    chunk->touched = (shared_word *)(chunks + CHUNKS) + (size_t)(chunk - chunks) * (CHUNK_PAGES / 64);
    /* As a store: see body_add. */
    __atomic_store_n(chunk->touched, 0, __ATOMIC_RELAXED);
    chunk->next = *bucket;
    mappings_used += MAPPINGS_OF_CHUNK;
    __atomic_store_n(bucket, chunk_count, __ATOMIC_RELEASE);
    return chunk;
}

/* Maps the chunk around the place that was found; behind it addresses for data are reserved. */
static enum segue_status map_chunk(const struct gap_search *found, struct chunk **chunk)
{
    const uint64_t size = UINT64_C(1) << CHUNK_BITS;
    struct executable_memory memory;
    uint64_t start = found->place & -size, end = start + size;
    start = start > found->from ? start : found->from;
    end = end < found->to ? end : found->to;
    uint64_t data = end - start < SMALL ? 0 : end - CHUNK_DATA;
    if (data && data > found->place)
        end = data;
    else
        data = 0;
    const struct executable_range range = executable_at(start, end - start);
    enum segue_status status = executable_memory_create(&range, end - start, 0, &memory);
    if (status != SEGUE_OK)
        return status;
    *chunk = add(start, end - start, &memory);
    gaps_take(start, end);
    if (data && platform_reserve_at(data, CHUNK_DATA) == 0) {
        (*chunk)->data = data;
        gaps_take(data, data + CHUNK_DATA);
    }
    return SEGUE_OK;
}

enum segue_status chunk_create(uint64_t first, uint64_t last, uint64_t near, struct chunk **chunk, const char **refusal)
{
    struct gap_search search = {
        .low = first & -(uint64_t)PAGE, .end = (last & -(uint64_t)PAGE) + PAGE, .size = PAGE, .near = near};
    enum segue_status status = SEGUE_EXISTS;
    *refusal = "bodies may take no more memory";
    if (memory_used + PAGE > most_memory)
        return SEGUE_NO_MEMORY;
    *refusal = "there are as many pieces of memory for bodies as there may be";
    if (chunk_count == CHUNKS)
        return SEGUE_NO_MEMORY;
    *refusal = "the process may have no more mappings for bodies";
    if (mappings_used + MAPPINGS_OF_CHUNK > most_mappings)
        return SEGUE_NO_MEMORY;
    for (unsigned i = 0; i < TRIES && status == SEGUE_EXISTS; i++) {
        *refusal = "no address within reach is free";
        if (!gaps_find(&search))
            return SEGUE_NO_MEMORY;
        status = map_chunk(&search, chunk);
        *refusal = status == SEGUE_UNSUPPORTED ? executable_memory_refusal() : "the system has no memory for bodies";
        if (status == SEGUE_EXISTS)
            gaps_forget();
    }
    return status == SEGUE_OK ? SEGUE_OK : SEGUE_NO_MEMORY;
}

/* --- Pages. --- */

bool chunk_is_touched(const struct chunk *chunk, uint64_t page)
{
    uint64_t number = (page - chunk->start) / PAGE;
    return chunk->touched[number / 64] >> number % 64 & 1;
}

bool chunk_touch(struct chunk *chunk, uint64_t page)
{
    uint64_t number = (page - chunk->start) / PAGE;
    if (memory_used + PAGE > most_memory)
        return false;
    chunk->touched[number / 64] |= UINT64_C(1) << number % 64;
    memory_used += PAGE;
    return true;
}

void chunk_untouch(struct chunk *chunk, uint64_t first, uint64_t size)
{
    for (uint64_t page = first; page < first + size; page += PAGE) {
        uint64_t number = (page - chunk->start) / PAGE;
        chunk->touched[number / 64] &= ~(UINT64_C(1) << number % 64);
        memory_used -= PAGE;
    }
    /* Not the parent's pages, which are another process's memory. */
    if (chunk->generation == generation)
        platform_view_release(chunk->memory.writable + (first - chunk->start), size);
}

/* Threads may be executing the chunk: the pages are replaced at once, and have the same content. Its memory is not
 * executable_memory_own's, which copies all pages up to the last. */
static bool renew(struct chunk *chunk)
{
    struct executable_memory memory;
    if (executable_memory_create(NULL, chunk->size, 1, &memory) != SEGUE_OK)
        return false;
    for (uint64_t at = 0; at < chunk->size; at += PAGE)
        if (chunk_is_touched(chunk, chunk->start + at))
            memcpy((void *)(uintptr_t)(memory.writable + at), (const void *)(uintptr_t)(chunk->start + at), PAGE);
    if (executable_view_renew(&memory, chunk->start, 0, chunk->size) != SEGUE_OK) {
        executable_memory_free(&memory);
        return false;
    }
    executable_memory_leave(&memory);
    chunk->memory = memory;
    chunk->generation = generation;
    chunk->is_lent = false;
    return true;
}

bool chunk_own(struct chunk *chunk)
{
    return chunk->generation == generation || renew(chunk);
}

bool chunk_take_back(struct chunk *chunk)
{
    struct executable_memory before = chunk->memory;
    bool is_own = chunk->generation == generation;
    if (is_own && !chunk->is_lent)
        return true;
    if (!renew(chunk))
        return false;
    /* A child does not have its parent's writable view. */
    before.executable = 0;
    if (is_own)
        executable_memory_free(&before);
    return true;
}
