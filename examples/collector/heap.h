/* heap.h: the cells of the heap: which are allocated, which are marked, where they are. */
#ifndef COLLECTOR_HEAP_H
#define COLLECTOR_HEAP_H

#include <segue/segue.h>

#include "collector.h"

#define CELL ((size_t)64)
#define NO_CELL SIZE_MAX

struct heap {
    struct segue_mapping mapping;
    size_t cells;
    /* A bit for each cell. Mutators set bits of both; the collector clears them while mutators are suspended. */
    uint64_t *allocated, *marked;
    /* Bits of cells that conservative roots refer to; compaction leaves these where they are. */
    uint64_t *pinned;
    /* Compaction: where a cell's object has moved, plus one. */
    uint32_t *moved_to;
};

extern struct heap heap;

bool heap_begin(size_t size);
void heap_end(void);

/* The cell that the address, perhaps an interior one, is in; or NO_CELL. */
static inline size_t heap_cell(uint64_t address)
{
    uint64_t offset = address - (uint64_t)(uintptr_t)heap.mapping.memory;
    return offset < heap.mapping.size ? (size_t)offset / CELL : NO_CELL;
}

/* The object as mutators see it; and through the second view, which is never protected: for the collector. */
static inline struct object *heap_object(size_t cell)
{
    return (struct object *)heap.mapping.memory + cell;
}

static inline struct object *heap_alias(size_t cell)
{
    return (struct object *)heap.mapping.alias + cell;
}

static inline bool bit_is_set(const uint64_t *bits, size_t cell)
{
    return __atomic_load_n(&bits[cell / 64], __ATOMIC_RELAXED) >> (cell % 64) & 1;
}

/* Returns whether it was set before. */
static inline bool bit_set(uint64_t *bits, size_t cell)
{
    uint64_t bit = UINT64_C(1) << (cell % 64);
    return __atomic_fetch_or(&bits[cell / 64], bit, __ATOMIC_ACQ_REL) & bit;
}

/* Overwrites a cell without an object, so that whoever still uses it finds out. */
void heap_poison(size_t cell);

/* While all mutators are suspended: moves the marked objects that are not pinned towards the heap's beginning, and
 * corrects all references in objects. Returns how many were moved. */
size_t heap_compact(void);

/* A reference after heap_compact. */
struct object *heap_moved(struct object *reference);

/* While all mutators are suspended: frees what is not marked. Returns how many cells. */
size_t heap_sweep(void);

#endif
