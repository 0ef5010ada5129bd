/* records.c: see records.h. */
#include "records.h"

#include <stddef.h>
#include <string.h>

#include "counters.h"
#include "patch/hot/sites.h"
#include "patch/hot/space/rooms.h"
#include "platform/memory/memory.h"
#include "platform/threads/wait.h"

#define BLOCK 256u
#define BLOCKS (1u << 16)
/* The parts of the address space in which blocks are filled. */
#define PARTS 32u
/* The most blocks that are searched for unused records. */
#define LOOKS 32u
/* How often the records are added up: in a child of a bare system call, no thread may go on with what it had begun. */
#define TRIES 1000u

/* All blocks. One bit for each record that may not be taken: it is used, or behind those that were taken so far. */
static struct block {
    struct body_record *records;
    uint64_t used[BLOCK / 64];
    uint32_t unused;
} * blocks;
static uint32_t block_count;
/* In all blocks; and the block from which on unused records are looked for next. */
static uint32_t unused, turn;
/* The block that is being filled in each part, and how many of its records are used. */
static struct {
    uint32_t block, used;
} parts[PARTS];
static uint32_t part_count;
/* What records_take has returned last. */
static struct {
    uint32_t block, record, part;
} last;
/* Odd while records are added up. */
static uint32_t sums;

bool records_prepare(void)
{
    if (!blocks)
        blocks = platform_map_apart(BLOCKS * sizeof *blocks);
    return blocks != NULL && counters_prepare();
}

/* Begins a block near `at` in that part. */
static bool begin_block(uint32_t part, uint64_t at)
{
    const char *refusal;
    void *records;
    if (block_count == BLOCKS ||
        rooms_take_data(at, BLOCK * sizeof(struct body_record), &records, &refusal) != SEGUE_OK)
        return false;
    blocks[block_count].records = records;
    memset(blocks[block_count].used, 0xff, sizeof blocks->used);
    parts[part].block = block_count;
    parts[part].used = 0;
    __atomic_store_n(&block_count, block_count + 1, __ATOMIC_RELEASE);
    return true;
}

static bool is_used(const struct block *block, uint32_t record)
{
    return block->used[record / 64] >> record % 64 & 1;
}

/* BODY_INSTRUCTIONS unused records in a row; BLOCK if the block has none. */
static uint32_t find_unused(const struct block *block)
{
    uint32_t first = 0;
    for (uint32_t record = 0; record < BLOCK; record++) {
        if (is_used(block, record))
            first = record + 1;
        else if (record + 1 - first == BODY_INSTRUCTIONS)
            return first;
    }
    return BLOCK;
}

/* What bodies that were freed have left. */
static struct body_record *take_again(uint64_t at)
{
    for (uint32_t i = 0; i < LOOKS && i < block_count && unused >= BODY_INSTRUCTIONS; i++) {
        if (turn >= block_count)
            turn = 0;
        const struct block *block = &blocks[turn];
        uint32_t record =
            block->unused >= BODY_INSTRUCTIONS && rooms_reach(block->records, at) ? find_unused(block) : BLOCK;
        if (record < BLOCK) {
            last.block = turn;
            last.record = record;
            last.part = PARTS;
            return &block->records[record];
        }
        turn++;
    }
    return NULL;
}

struct body_record *records_take(uint64_t at)
{
    uint32_t part = 0;
    struct body_record *again = take_again(at);
    if (again)
        return again;
    while (part < part_count && !rooms_reach(blocks[parts[part].block].records, at))
        part++;
    if (part == PARTS)
        return NULL;
    if ((part == part_count || parts[part].used + BODY_INSTRUCTIONS > BLOCK) && !begin_block(part, at))
        return NULL;
    if (part == part_count)
        part_count++;
    last.block = parts[part].block;
    last.record = parts[part].used;
    last.part = part;
    return &blocks[last.block].records[last.record];
}

uint32_t records_number(void)
{
    return last.block * BLOCK + last.record;
}

void records_use(uint32_t count)
{
    struct block *block = &blocks[last.block];
    if (last.part < PARTS) {
        parts[last.part].used += count;
        return;
    }
    for (uint32_t i = last.record; i < last.record + count; i++)
        block->used[i / 64] |= UINT64_C(1) << i % 64;
    block->unused -= count;
    unused -= count;
}

/* The accesses that were made in bodies. */
static uint64_t made(const struct body_record *record, uint32_t number)
{
    uint64_t left = __atomic_load_n(&record->left, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&record->count, __ATOMIC_RELAXED) - left + (record->by_thread ? counters_sum(number) : 0);
}

void records_add_up(struct body_record *records, uint32_t number, uint32_t count)
{
    __atomic_fetch_add(&sums, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < count; i++) {
        struct hot_site *site = records[i].site ? hot_site_find(records[i].site) : NULL;
        if (site)
            __atomic_fetch_add(&site->accesses_before, made(&records[i], number + i), __ATOMIC_RELAXED);
        __atomic_store_n(&records[i].count, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&records[i].left, 0, __ATOMIC_RELAXED);
        counters_clear(number + i);
    }
    __atomic_fetch_add(&sums, 1, __ATOMIC_SEQ_CST);
}

void records_give_back(struct body_record *records, uint32_t count)
{
    uint32_t at = 0;
    while (at < block_count && (records < blocks[at].records || records >= blocks[at].records + BLOCK))
        at++;
    if (at == block_count)
        return;
    struct block *block = &blocks[at];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t record = (uint32_t)(records + i - block->records);
        __atomic_store_n(&records[i].site, 0, __ATOMIC_RELAXED);
        block->used[record / 64] &= ~(UINT64_C(1) << record % 64);
    }
    block->unused += count;
    unused += count;
}

static void visit(void (*count)(struct hot_site *site, uint64_t accesses))
{
    uint32_t present = __atomic_load_n(&block_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < present; i++)
        for (uint32_t j = 0; j < BLOCK; j++) {
            const struct body_record *record = &blocks[i].records[j];
            struct hot_site *site = record->site ? hot_site_find(record->site) : NULL;
            if (site)
                count(site, made(record, i * BLOCK + j));
        }
}

static void add(struct hot_site *site, uint64_t accesses)
{
    site->accesses += accesses;
}

/* Bodies may be freed meanwhile: what a record has counted is then counted before. */
void records_count(void)
{
    uint32_t before;
    unsigned tries = 0;
    do {
        before = __atomic_load_n(&sums, __ATOMIC_SEQ_CST);
        if (before % 2)
            wait_a_moment();
        for (struct hot_site *site = site_first(); site; site = site_after(site))
            site->accesses = __atomic_load_n(&site->accesses_before, __ATOMIC_RELAXED);
        visit(add);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    } while ((before % 2 || __atomic_load_n(&sums, __ATOMIC_RELAXED) != before) && ++tries < TRIES);
}
