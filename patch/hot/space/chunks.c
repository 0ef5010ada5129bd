/* chunks.c: see chunks.h. */
#include "chunks.h"

#include <string.h>

#include "decode/x86/canonical.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/process/once.h"

#define BUCKETS 1024u
#define PIECE 4096u
/* The addresses that are left to the heap and to the first thread's stack to grow into. Beside a program that is loaded
 * below its heap, every 16 MiB more would take a window from its sites. */
#define GROWTH (UINT64_C(128) << 20)
/* The lowest address that a program maps. */
#define LOWEST UINT64_C(65536)
/* Two views, the guards of one, and the reserved addresses. */
#define MAPPINGS_OF_CHUNK 5u
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
/* For the list of mappings: the handler's stack has no room. Guarded as the chunks are. */
static char piece[PIECE];

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

void chunks_share(void)
{
    for (uint32_t i = 0; i < chunk_count; i++)
        chunks[i].is_shared = true;
}

/* --- Looking up. --- */

static uint32_t *bucket_of(uint64_t address)
{
    return &buckets[(address >> CHUNK_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> 54];
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

uint32_t chunk_page_number(const struct chunk *chunk, uint64_t address)
{
    return (uint32_t)(chunk - chunks) * CHUNK_PAGES + (uint32_t)((address - chunk->start) / PAGE);
}

/* --- Free addresses. --- */

struct search {
    uint64_t low, end, size, near;
    /* The free place, and the free addresses around it. */
    uint64_t place, from, to;
    bool found;
};

static uint64_t distance(uint64_t one, uint64_t other)
{
    return one < other ? other - one : one - other;
}

/* The addresses from `from` to `to` are free. */
static void look_between(struct search *search, uint64_t from, uint64_t to)
{
    uint64_t low = search->low > from ? search->low : from, end = search->end < to ? search->end : to;
    low = (low + PAGE - 1) & -(uint64_t)PAGE;
    if (low >= end || end - low < search->size)
        return;
    uint64_t last = (end - search->size) & -(uint64_t)PAGE, place = search->near & -(uint64_t)PAGE;
    place = place < low ? low : place > last ? last : place;
    if (search->found && distance(place, search->near) >= distance(search->place, search->near))
        return;
    search->place = place;
    search->from = from;
    search->to = to;
    search->found = true;
}

static uint64_t below_growth(const struct mapping *mapping)
{
    if (mapping->growth != MAPPING_IS_STACK)
        return mapping->start;
    return mapping->start > GROWTH ? mapping->start - GROWTH : 0;
}

static void search_free(struct search *search)
{
    struct mappings list;
    struct mapping mapping;
    uint64_t from = LOWEST;
    search->found = false;
    if (!mappings_open(&list, piece, sizeof piece))
        return;
    while (mappings_next(&list, &mapping) && from < search->end) {
        uint64_t to = below_growth(&mapping);
        if (from < to)
            look_between(search, from, to);
        if (mapping.end > from)
            from = mapping.end + (mapping.growth == MAPPING_IS_HEAP ? GROWTH : 0);
    }
    if (from < search->end && from < canonical_user_end())
        look_between(search, from, canonical_user_end());
    mappings_close(&list);
}

bool chunks_find_free(uint64_t low, uint64_t end, uint64_t size, uint64_t near, uint64_t *found)
{
    struct search search = {.low = low, .end = end, .size = size, .near = near};
    search_free(&search);
    *found = search.place;
    return search.found;
}

/* --- Making. --- */

static struct chunk *add(uint64_t start, uint64_t size, const struct executable_memory *memory)
{
    struct chunk *chunk = &chunks[chunk_count++];
    uint32_t *bucket = bucket_of(start);
    *chunk = (struct chunk){.start = start, .size = size, .memory = *memory, .generation = generation};
    chunk->touched = (uint64_t *)(chunks + CHUNKS) + (size_t)(chunk - chunks) * (CHUNK_PAGES / 64);
    chunk->next = *bucket;
    mappings_used += MAPPINGS_OF_CHUNK;
    __atomic_store_n(bucket, chunk_count, __ATOMIC_RELEASE);
    return chunk;
}

enum segue_status chunk_create(uint64_t first, uint64_t last, uint64_t near, struct chunk **chunk, const char **refusal)
{
    const uint64_t size = UINT64_C(1) << CHUNK_BITS;
    struct search search = {
        .low = first & -(uint64_t)PAGE, .end = (last & -(uint64_t)PAGE) + PAGE, .size = PAGE, .near = near};
    struct executable_memory memory;
    *refusal = "bodies may take no more memory";
    if (memory_used + PAGE > most_memory)
        return SEGUE_NO_MEMORY;
    *refusal = "the process may have no more mappings for bodies";
    if (chunk_count == CHUNKS || mappings_used + MAPPINGS_OF_CHUNK > most_mappings)
        return SEGUE_NO_MEMORY;
    search_free(&search);
    *refusal = "no address within reach is free";
    if (!search.found)
        return SEGUE_NO_MEMORY;
    uint64_t start = search.place & -size, end = start + size;
    start = start > search.from ? start : search.from;
    end = end < search.to ? end : search.to;
    uint64_t data = end - start < SMALL ? 0 : end - CHUNK_DATA;
    if (data && data > search.place)
        end = data;
    else
        data = 0;
    const struct executable_range range = executable_at(start, end - start);
    enum segue_status status = executable_memory_create(&range, end - start, 0, &memory);
    if (status != SEGUE_OK) {
        *refusal = status == SEGUE_UNSUPPORTED ? executable_memory_refusal() : "the system has no memory for bodies";
        return SEGUE_NO_MEMORY;
    }
    *chunk = add(start, end - start, &memory);
    if (data && platform_reserve_at(data, CHUNK_DATA) == 0)
        (*chunk)->data = data;
    return SEGUE_OK;
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

bool chunk_is_lent(const struct chunk *chunk)
{
    return chunk->generation == generation && chunk->is_shared;
}

/* Threads may be executing the chunk: the pages are replaced at once, and have the same content. Its memory is not
 * executable_memory_own's, which copies all pages up to the last. */
bool chunk_own(struct chunk *chunk)
{
    struct executable_memory memory;
    if (chunk->generation == generation)
        return true;
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
    chunk->is_shared = false;
    return true;
}
