/* table.h: which region an address is in. A radix tree of the shape of the processor's own page tables, five levels of
 * nine bits: a lookup is at most five loads, whatever is in it, and takes no lock. A region stands at every slot that
 * it covers whole, at the highest level that it covers, so a large one takes few slots. */
#ifndef SEGUE_SIGNALS_TABLE_H
#define SEGUE_SIGNALS_TABLE_H

#include <segue/region.h>

#include "decode/x86/compiler/shared_word.h"
#include "decode/x86/page.h"

#define TABLE_LEVEL_BITS 9
#define TABLE_LEVELS 5
#define TABLE_SLOTS (1u << TABLE_LEVEL_BITS)
/* Addresses from here on are in no region. */
#define TABLE_LIMIT ((uint64_t)1 << (PAGE_BITS + TABLE_LEVELS * TABLE_LEVEL_BITS - 1))

/* In the flags of a region that is being updated: a fault that finds it starts again. */
#define REGION_CHANGES 0x8000u

/* A region as the handler keeps it: one cache line, since a fault in one of a million finds it cold. */
struct region {
    uint64_t base, size;
    segue_policy *policy;
    void *context;
    union {
        /* A callback window's device. */
        struct {
            segue_device_read *read;
            segue_device_write *write;
        } device;
        /* A hot region's second policy, and its slot (signals/hot). */
        struct {
            segue_hot_policy *policy;
            struct hot_slot *slot;
        } hot;
    };
    /* The window's alias, or the context of its device; no window has both. */
    void *place;
    /* enum segue_window_kind; the exponent of segue_region.sample, plus 1, or 0; enum segue_region_flags, and
     * REGION_CHANGES. */
    uint8_t kind, sample;
    uint16_t flags;
    /* Not 0 while the region can be found. For the table alone. */
    uint32_t live;
};
_Static_assert(sizeof(struct region) <= 64, "a region is one cache line");

/* One node. A slot is 0, a region, a node marked by its lowest bit, or the mark of a region that is going. */
struct table_node {
    shared_word slots[TABLE_SLOTS];
    /* How many slots are not 0. */
    uint32_t used;
    struct table_node *next;
    /* A region is kept beside the first of its slots: where that is depends on the address alone, so slot and region
     * can be fetched at the same time. */
    _Alignas(64) struct region regions[TABLE_SLOTS];
};

struct table {
    struct table_node root;
    /* Nodes ready for use, and nodes that are out of the tree but may still be read. */
    struct table_node *spare, *retired;
    /* Regions, and nodes below the root, that are in it. */
    uint64_t region_count, node_count;
};

/* The region at `address`, or NULL. Async-signal-safe, beside any one of the calls below. */
const struct region *table_find(const struct table *table, uint64_t address);

/* For an address in no region: moves `*first` up and `*last` down to where a region is between them and the address. It
 * looks at so many slots of the tree at most, and leaves between them only what it has seen. Async-signal-safe, beside
 * any one of the calls below. */
void table_gap(const struct table *table, uint64_t address, uint64_t *first, uint64_t *last);

/* Begins to fetch what table_find will read for that address. Async-signal-safe, beside any one of the calls below; the
 * nodes are never unmapped, so it may be called by who is no reader. */
void table_prefetch(const struct table *table, uint64_t address);

/* The same, for the one that changes the table. */
struct region *table_to_change(struct table *table, uint64_t address);

/* These change the table; only one at a time. Ranges are whole pages, not empty, below TABLE_LIMIT. */

/* Copies the region into the table. Returns SEGUE_OK, SEGUE_OVERLAP or SEGUE_NO_MEMORY. */
enum segue_status table_add(struct table *table, const struct region *region);

/* Taking a region out: table_hide, and table_find finds it no more, though it still takes its place; a wait for the
 * readers; table_remove, and its place is free. `region` is what table_find returned. */
void table_hide(struct table *table, const struct region *region);
void table_remove(struct table *table, const struct region *region);

/* In place of a region, so many regions inside its range, of which `places` becomes where each is. Between the two none
 * is found there. SEGUE_OK; SEGUE_NO_MEMORY, and nothing has changed. */
#define TABLE_PARTS 2u
enum segue_status table_divide(struct table *table, const struct region *region, const struct region *parts,
                               unsigned count, struct region **places);

/* Takes away the nodes that removals have put out of the tree; after a wait for the readers they may be used again. */
struct table_node *table_retired(struct table *table);
void table_reuse(struct table *table, struct table_node *nodes);

#endif
