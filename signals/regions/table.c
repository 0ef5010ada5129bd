/* table.c: finds the region that holds an address (table.h describes the structure).
 *
 * A slot is published by one store with release order, after the node or region that it points to is complete, and read
 * with acquire order. So a reader sees each slot either before or after a change, and never an incomplete node.
 *
 * SOURCES: Intel SDM volume 3, 4.5 (the structure of page tables, which this one follows). */
#include "table.h"

#include <stddef.h>
#include <string.h>

#include "pool.h"

#define IS_NODE 1u
/* A region that is being removed: lookups do not find it, and no other region may take its place yet. */
#define GOING 2u
/* Slots that are examined in each direction to find the end of a gap. */
#define GAP_LOOKS 4096u
/* An added range is partly in at most two nodes of each level below the root. */
#define NODES_FOR_ONE_RANGE (2 * (TABLE_LEVELS - 1))

static struct pool nodes = {.size = sizeof(struct table_node)};

static uint64_t slot_read(const shared_word *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static void slot_write(struct table_node *node, unsigned index, uint64_t word)
{
    if (word && !node->slots[index])
        node->used++;
    if (!word && node->slots[index])
        node->used--;
    __atomic_store_n(&node->slots[index], word, __ATOMIC_RELEASE);
}

static struct table_node *node_of(uint64_t word)
{
    return (struct table_node *)(uintptr_t)(word & ~(uint64_t)IS_NODE);
}

static unsigned shift_of(unsigned level)
{
    return PAGE_BITS + level * TABLE_LEVEL_BITS;
}

static unsigned index_of(uint64_t address, unsigned level)
{
    return (unsigned)(address >> shift_of(level)) % TABLE_SLOTS;
}

/* The region in this slot, if it is live and holds the address. */
static bool is_at(const struct region *region, uint64_t address)
{
    return __atomic_load_n(&region->live, __ATOMIC_ACQUIRE) && address - region->base < region->size;
}

__attribute__((hot)) SEGUE_HOT_POLICY const struct region *table_find(const struct table *table, uint64_t address)
{
    const struct table_node *node = &table->root;
    if (address >= TABLE_LIMIT)
        return NULL;
    for (unsigned level = TABLE_LEVELS; level-- > 0;) {
        unsigned index = index_of(address, level);
        if (level == 0 && is_at(&node->regions[index], address))
            return &node->regions[index];
        uint64_t word = slot_read(&node->slots[index]);
        if (!(word & IS_NODE))
            return word == GOING ? NULL : (const struct region *)(uintptr_t)word;
        node = node_of(word);
    }
    return NULL;
}

struct region *table_to_change(struct table *table, uint64_t address)
{
    return (struct region *)(uintptr_t)table_find(table, address);
}

/* The level of the slot that `address` falls in, if it is in no region. */
static SEGUE_HOT_POLICY unsigned level_of_gap(const struct table *table, uint64_t address)
{
    const struct table_node *node = &table->root;
    for (unsigned level = TABLE_LEVELS; level-- > 1;) {
        uint64_t word = slot_read(&node->slots[index_of(address, level)]);
        if (!(word & IS_NODE))
            return level;
        node = node_of(word);
    }
    return 0;
}

SEGUE_HOT_POLICY void table_gap(const struct table *table, uint64_t address, uint64_t *first, uint64_t *last)
{
    if (address >= TABLE_LIMIT) {
        *first = *first > TABLE_LIMIT ? *first : TABLE_LIMIT;
        return;
    }
    uint64_t mask, up = address, down = address;
    for (unsigned looks = 0;; looks++) {
        mask = ((uint64_t)1 << shift_of(level_of_gap(table, up))) - 1;
        up |= mask;
        if (up >= *last || up >= TABLE_LIMIT - 1 || looks == GAP_LOOKS || table_find(table, up + 1))
            break;
        up++;
    }
    for (unsigned looks = 0;; looks++) {
        mask = ((uint64_t)1 << shift_of(level_of_gap(table, down))) - 1;
        down &= ~mask;
        if (down <= *first || looks == GAP_LOOKS || table_find(table, down - 1))
            break;
        down--;
    }
    /* There is no region above the highest address that a region may have. */
    if (up < *last && up != TABLE_LIMIT - 1)
        *last = up;
    if (down > *first)
        *first = down;
}

__attribute__((hot)) void table_prefetch(const struct table *table, uint64_t address)
{
    const struct table_node *node = &table->root;
    if (address >= TABLE_LIMIT)
        return;
    for (unsigned level = TABLE_LEVELS; --level > 0;) {
        uint64_t word = slot_read(&node->slots[index_of(address, level)]);
        if (!(word & IS_NODE))
            return;
        node = node_of(word);
    }
    __builtin_prefetch(&node->regions[index_of(address, 0)]);
}

/* The part of a range that one slot covers. */
struct span {
    uint64_t first, last;
};

/* The span of [first, last] within slot `index` of a node at `level`; the node's own address bits are those of `first`.
 */
static struct span slot_span(struct span range, unsigned level, unsigned index, bool *whole)
{
    uint64_t above = range.first >> shift_of(level) >> TABLE_LEVEL_BITS << TABLE_LEVEL_BITS;
    uint64_t low = (above | index) << shift_of(level);
    uint64_t high = low + (((uint64_t)1 << shift_of(level)) - 1);
    struct span part = {range.first > low ? range.first : low, range.last < high ? range.last : high};
    *whole = part.first == low && part.last == high;
    return part;
}

static bool is_free(const struct table_node *node, unsigned level, struct span range)
{
    for (unsigned i = index_of(range.first, level); i <= index_of(range.last, level); i++) {
        bool whole;
        struct span part = slot_span(range, level, i, &whole);
        uint64_t word = node->slots[i];
        if (word && (whole || !(word & IS_NODE) || !is_free(node_of(word), level - 1, part)))
            return false;
    }
    return true;
}

static struct table_node *take_spare(struct table *table)
{
    struct table_node *node = table->spare;
    table->spare = node->next;
    table->node_count++;
    memset(node, 0, offsetof(struct table_node, regions));
    return node;
}

/* The node below slot `index`; made if it does not exist. */
static struct table_node *node_below(struct table *table, struct table_node *node, unsigned index)
{
    if (!node->slots[index])
        slot_write(node, index, (uint64_t)(uintptr_t)take_spare(table) | IS_NODE);
    return node_of(node->slots[index]);
}

/* Where a region with this range is stored: beside its first slot. */
static struct region *place_of(struct table *table, struct span range)
{
    struct table_node *node = &table->root;
    for (unsigned level = TABLE_LEVELS - 1;; level--) {
        bool whole;
        unsigned index = index_of(range.first, level);
        range = slot_span(range, level, index, &whole);
        if (whole)
            return &node->regions[index];
        node = node_below(table, node, index);
    }
}

/* Writes `word` to every slot that the range covers completely, and makes the nodes above them. */
static void fill(struct table *table, struct table_node *node, unsigned level, struct span range, uint64_t word)
{
    for (unsigned i = index_of(range.first, level); i <= index_of(range.last, level); i++) {
        bool whole;
        struct span part = slot_span(range, level, i, &whole);
        if (whole)
            slot_write(node, i, word);
        else
            fill(table, node_below(table, node, i), level - 1, part, word);
    }
}

static void clear(struct table *table, struct table_node *node, unsigned level, struct span range)
{
    for (unsigned i = index_of(range.first, level); i <= index_of(range.last, level); i++) {
        bool whole;
        struct span part = slot_span(range, level, i, &whole);
        uint64_t word = node->slots[i];
        if (word & IS_NODE) {
            struct table_node *below = node_of(word);
            clear(table, below, level - 1, part);
            if (below->used)
                continue;
            below->next = table->retired;
            table->retired = below;
            table->node_count--;
        }
        slot_write(node, i, 0);
    }
}

/* Whether nodes hold so many regions that huge pages do not waste memory. */
static bool is_dense(const struct table *table)
{
    return table->region_count > table->node_count * (TABLE_SLOTS / 8);
}

/* Takes enough spare nodes that filling so many ranges cannot fail half way. */
static bool have_spares(struct table *table, unsigned ranges)
{
    const unsigned needed = ranges * NODES_FOR_ONE_RANGE;
    unsigned count = 0;
    for (struct table_node *node = table->spare; node && count < needed; node = node->next)
        count++;
    while (count++ < needed) {
        struct table_node *node = pool_take(&nodes, is_dense(table));
        if (!node)
            return false;
        node->next = table->spare;
        table->spare = node;
    }
    return true;
}

static struct span span_of(const struct region *region)
{
    return (struct span){region->base, region->base + region->size - 1};
}

static struct region *put(struct table *table, const struct region *region)
{
    struct span range = span_of(region);
    table->region_count++;
    struct region *place = place_of(table, range);
    *place = *region;
    place->live = 0;
    fill(table, &table->root, TABLE_LEVELS - 1, range, (uint64_t)(uintptr_t)place);
    __atomic_store_n(&place->live, 1, __ATOMIC_RELEASE);
    return place;
}

enum segue_status table_add(struct table *table, const struct region *region)
{
    struct span range = span_of(region);
    if (!is_free(&table->root, TABLE_LEVELS - 1, range))
        return SEGUE_OVERLAP;
    if (!have_spares(table, 1))
        return SEGUE_NO_MEMORY;
    put(table, region);
    return SEGUE_OK;
}

enum segue_status table_divide(struct table *table, const struct region *region, const struct region *parts,
                               unsigned count, struct region **places)
{
    if (!have_spares(table, count))
        return SEGUE_NO_MEMORY;
    __atomic_store_n(&((struct region *)region)->live, 0, __ATOMIC_RELEASE);
    table_remove(table, region);
    for (unsigned i = 0; i < count; i++)
        places[i] = put(table, &parts[i]);
    return SEGUE_OK;
}

void table_hide(struct table *table, const struct region *region)
{
    __atomic_store_n(&((struct region *)region)->live, 0, __ATOMIC_RELEASE);
    fill(table, &table->root, TABLE_LEVELS - 1, span_of(region), GOING);
}

void table_remove(struct table *table, const struct region *region)
{
    clear(table, &table->root, TABLE_LEVELS - 1, span_of(region));
    table->region_count--;
}

struct table_node *table_retired(struct table *table)
{
    struct table_node *nodes_out = table->retired;
    table->retired = NULL;
    return nodes_out;
}

void table_reuse(struct table *table, struct table_node *reusable)
{
    while (reusable) {
        struct table_node *next = reusable->next;
        reusable->next = table->spare;
        table->spare = reusable;
        reusable = next;
    }
}
