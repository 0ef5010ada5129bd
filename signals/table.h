/* table.h: which region an address is in. A radix tree of the shape of the processor's own page tables, five levels of
 * nine bits: a lookup is at most five loads, whatever is in it, and takes no lock. A region stands at every slot that
 * it covers whole, at the highest level that it covers, so a large one takes few slots. */
#ifndef SEGUE_SIGNALS_TABLE_H
#define SEGUE_SIGNALS_TABLE_H

#include <segue/status.h>

#define TABLE_PAGE_BITS 12
#define TABLE_LEVEL_BITS 9
#define TABLE_LEVELS 5
#define TABLE_SLOTS (1u << TABLE_LEVEL_BITS)
/* Addresses from here on are in no region. */
#define TABLE_LIMIT ((uint64_t)1 << (TABLE_PAGE_BITS + TABLE_LEVELS * TABLE_LEVEL_BITS - 1))

/* One node. A slot is 0, an item, or a node marked by its lowest bit. */
struct table_node {
    uint64_t slots[TABLE_SLOTS];
    /* How many slots are not 0. */
    uint32_t used;
    struct table_node *next;
};

struct table {
    struct table_node root;
    /* Nodes ready for use, and nodes that were emptied and may still be read. */
    struct table_node *spare, *retired;
};

/* The item at `address`, or NULL. Async-signal-safe, beside any one of the calls below. */
void *table_find(const struct table *table, uint64_t address);

/* These change the table; only one at a time. `base` and `size` are whole pages, not 0, below TABLE_LIMIT; `item` is
 * not NULL and even. */

/* Returns SEGUE_OK, SEGUE_OVERLAP or SEGUE_NO_MEMORY. */
enum segue_status table_add(struct table *table, uint64_t base, uint64_t size, void *item);

/* Takes out what stands at exactly this range. The nodes that it empties are retired. */
void table_remove(struct table *table, uint64_t base, uint64_t size);

/* Takes the retired nodes away from the table; after a wait for its readers they go back by table_reuse. */
struct table_node *table_retired(struct table *table);
void table_reuse(struct table *table, struct table_node *nodes);

#endif
