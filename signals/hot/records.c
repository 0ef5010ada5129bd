/* records.c: see records.h. */
#include "records.h"

#include <stddef.h>

#include "patch/hot/sites.h"
#include "patch/hot/space/rooms.h"
#include "platform/memory/memory.h"

#define BLOCK 256u
#define BLOCKS (1u << 16)
/* The parts of the address space in which blocks are filled. */
#define PARTS 32u

/* All blocks. */
static struct body_record **blocks;
static uint32_t block_count;
/* The block that is being filled in each part, and how many of its records are used. */
static struct {
    uint32_t block, used;
} parts[PARTS];
static uint32_t part_count;
/* Where the last records were taken. */
static uint32_t last;

bool records_prepare(void)
{
    if (!blocks)
        blocks = platform_map_apart(BLOCKS * sizeof *blocks);
    return blocks != NULL;
}

/* Begins a block near `at` in that part. */
static bool begin_block(uint32_t part, uint64_t at)
{
    const char *refusal;
    void *block;
    if (block_count == BLOCKS || rooms_take_data(at, BLOCK * sizeof(struct body_record), &block, &refusal) != SEGUE_OK)
        return false;
    blocks[block_count] = block;
    parts[part].block = block_count;
    parts[part].used = 0;
    __atomic_store_n(&block_count, block_count + 1, __ATOMIC_RELEASE);
    return true;
}

struct body_record *records_take(uint64_t at)
{
    uint32_t part = 0;
    while (part < part_count && !rooms_reach(blocks[parts[part].block], at))
        part++;
    if (part == PARTS)
        return NULL;
    if ((part == part_count || parts[part].used + BODY_INSTRUCTIONS > BLOCK) && !begin_block(part, at))
        return NULL;
    if (part == part_count)
        part_count++;
    last = part;
    return &blocks[parts[part].block][parts[part].used];
}

void records_use(uint32_t count)
{
    parts[last].used += count;
}

static void visit(void (*count)(struct hot_site *site, uint64_t accesses))
{
    uint32_t present = __atomic_load_n(&block_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < present; i++)
        for (uint32_t j = 0; j < BLOCK; j++) {
            const struct body_record *record = &blocks[i][j];
            struct hot_site *site = record->site ? hot_site_find(record->site) : NULL;
            if (site)
                count(site, __atomic_load_n(&record->count, __ATOMIC_RELAXED));
        }
}

static void clear(struct hot_site *site, uint64_t accesses)
{
    (void)accesses;
    site->accesses = 0;
}

static void add(struct hot_site *site, uint64_t accesses)
{
    site->accesses += accesses;
}

void records_count(void)
{
    visit(clear);
    visit(add);
}
