/* heap.c: see heap.h. */
#include "heap.h"

#include <string.h>
#include <sys/mman.h>

#define POISON 0xdb

struct heap heap;

static uint64_t *map_bits(size_t cells)
{
    void *bits = mmap(NULL, cells / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return bits == MAP_FAILED ? NULL : bits;
}

bool heap_begin(size_t size)
{
    /* Hot sites need views that are less than 2 GiB apart. A child made by fork has a copy. */
    const struct segue_mapping_options options = {.size = size, .flags = SEGUE_MAPPING_NEAR, .name = "collector"};
    if (size == 0 || size % 4096 || size > (size_t)4 << 30 ||
        segue_mapping_create_with(&options, &heap.mapping) != SEGUE_OK)
        return false;
    heap.cells = size / CELL;
    heap.allocated = map_bits(heap.cells);
    heap.marked = map_bits(heap.cells);
    heap.pinned = map_bits(heap.cells);
    heap.moved_to = (uint32_t *)(void *)map_bits(heap.cells * 32);
    return heap.allocated && heap.marked && heap.pinned && heap.moved_to;
}

void heap_end(void)
{
    munmap(heap.allocated, heap.cells / 8);
    munmap(heap.marked, heap.cells / 8);
    munmap(heap.pinned, heap.cells / 8);
    munmap(heap.moved_to, heap.cells * 4);
    segue_mapping_destroy(&heap.mapping);
}

/* The references are zero: a stale pointer into the cell leads nowhere. */
void heap_poison(size_t cell)
{
    struct object *object = heap_alias(cell);
    memset(object->words, POISON, sizeof object->words);
    memset(object->references, 0, sizeof object->references);
}

size_t heap_sweep(void)
{
    size_t freed = 0;
    for (size_t word = 0; word < heap.cells / 64; word++) {
        uint64_t dead = heap.allocated[word] & ~heap.marked[word];
        heap.allocated[word] &= heap.marked[word];
        for (; dead; dead &= dead - 1, freed++)
            heap_poison(word * 64 + (size_t)__builtin_ctzll(dead));
    }
    return freed;
}

/* ---- compaction ---- */

/* Neither allocated nor referred to: a mutator may be about to take a cell that it refers to. */
static bool is_free(size_t cell)
{
    return !bit_is_set(heap.allocated, cell) && !bit_is_set(heap.pinned, cell) && !heap.moved_to[cell];
}

static void move(size_t from, size_t to)
{
    memcpy(heap_alias(to), heap_alias(from), CELL);
    heap_poison(from);
    heap.moved_to[from] = (uint32_t)to + 1;
    bit_set(heap.allocated, to);
    heap.allocated[from / 64] &= ~(UINT64_C(1) << (from % 64));
}

struct object *heap_moved(struct object *reference)
{
    size_t cell = heap_cell((uint64_t)(uintptr_t)reference);
    if (cell == NO_CELL || !heap.moved_to[cell])
        return reference;
    return heap_object(heap.moved_to[cell] - 1);
}

size_t heap_compact(void)
{
    size_t to = 0, from = heap.cells, moved = 0;
    memset(heap.moved_to, 0, heap.cells * sizeof *heap.moved_to);
    for (;;) {
        while (to < from && !is_free(to))
            to++;
        while (from > to && (!bit_is_set(heap.allocated, from - 1) || bit_is_set(heap.pinned, from - 1)))
            from--;
        if (to >= from)
            break;
        move(--from, to++);
        moved++;
    }
    for (size_t cell = 0; cell < heap.cells; cell++)
        for (size_t i = 0; bit_is_set(heap.allocated, cell) && i < OBJECT_REFERENCES; i++) {
            struct object **reference = &heap_alias(cell)->references[i];
            *reference = heap_moved(*reference);
        }
    return moved;
}
