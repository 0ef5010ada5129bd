/* blocks.c: blocks in size classes, four to each doubling, free ones on a stack per class.
 *
 * ASSUMPTIONS: one thread uses the heap. */
#include "blocks.h"

#include <stdlib.h>
#include <string.h>

#define GRAIN 16u
/* The largest sizes of the classes up to STEPS grains are one grain apart. */
#define STEPS 8u
#define CLASSES_MAX 160u

/* Free blocks of one size, by offset into the heap. */
struct size_class {
    size_t *free;
    size_t count, capacity;
};

static struct {
    struct segue_mapping mapping;
    struct size_class classes[CLASSES_MAX];
    /* Everything from here on was never handed out. */
    size_t top;
} heap;

static char *program_at(size_t offset)
{
    return (char *)heap.mapping.memory + offset;
}

static char *alias_at(size_t offset)
{
    return (char *)heap.mapping.alias + offset;
}

static size_t offset_of(const void *block)
{
    return (size_t)((const char *)block - (const char *)heap.mapping.memory);
}

/* The number of the class that `size` belongs to, and in `size` that of its blocks. Sizes are cut in grains: 1 to 8,
 * then in steps of two up to 16, of four up to 32, and so on. */
static size_t class_of(size_t *size)
{
    size_t grains = (*size + GRAIN - 1) / GRAIN;
    unsigned shift = 0;
    if (grains > STEPS)
        shift = (unsigned)(63 - __builtin_clzll(grains - 1)) - 2;
    size_t steps = (grains + ((size_t)1 << shift) - 1) >> shift;
    *size = (steps << shift) * GRAIN;
    return shift * (STEPS / 2) + steps;
}

static void *take_block(struct size_class *class, size_t size)
{
    if (class->count)
        return program_at(class->free[--class->count]);
    if (heap.mapping.size - heap.top < size)
        return NULL;
    void *block = program_at(heap.top);
    heap.top += size;
    return block;
}

static void give_block(struct size_class *class, const void *block)
{
    if (class->count == class->capacity) {
        size_t capacity = class->capacity ? 2 * class->capacity : 64;
        size_t *longer = realloc(class->free, capacity * sizeof *longer);
        /* The block is lost to us, but nothing is wrong. */
        if (!longer)
            return;
        class->free = longer;
        class->capacity = capacity;
    }
    class->free[class->count++] = offset_of(block);
}

void *blocks_allocate(void *unused, void *block, size_t old_size, size_t new_size)
{
    (void)unused;
    size_t old_room = old_size, new_room = new_size;
    struct size_class *old = block ? &heap.classes[class_of(&old_room)] : NULL;
    if (new_size == 0) {
        if (old)
            give_block(old, block);
        return NULL;
    }
    if (new_size > heap.mapping.size)
        return NULL;
    struct size_class *new = &heap.classes[class_of(&new_room)];
    if (new == old)
        return block;
    void *fresh = take_block(new, new_room);
    /* Lua counts on a block that shrinks. */
    if (!fresh)
        return block && new_size <= old_size ? block : NULL;
    if (old) {
        memcpy(alias_at(offset_of(fresh)), alias_at(offset_of(block)), old_size < new_size ? old_size : new_size);
        give_block(old, block);
    }
    return fresh;
}

void blocks_begin(const struct segue_mapping *mapping)
{
    blocks_end();
    heap.mapping = *mapping;
}

void blocks_end(void)
{
    for (size_t i = 0; i < CLASSES_MAX; i++)
        free(heap.classes[i].free);
    memset(&heap, 0, sizeof heap);
}
