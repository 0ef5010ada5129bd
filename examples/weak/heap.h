/* heap.h: what the weak-table demo collects: objects, half of them dead, and a weak hash table that refers to all
 * of them. */
#ifndef SEGUE_EXAMPLES_WEAK_HEAP_H
#define SEGUE_EXAMPLES_WEAK_HEAP_H

#include <segue/segue.h>

#define ENTRIES 100000u
/* The table is three quarters full. */
#define CAPACITY_BITS 17
#define CAPACITY (1u << CAPACITY_BITS)
#define PAGE 4096u
#define PAGE_SLOTS (PAGE / sizeof(struct object *))
/* The byte that a freed object is overwritten with; no key and no address is made of it. */
#define POISON 0xdb

struct object {
    uint32_t key;
    uint32_t marked;
    struct object *children[2];
};

struct weak_heap {
    struct object objects[ENTRIES];
    struct object *root;
    /* By key, found by heap_find_truth: whether the object can be reached from the root. */
    bool reachable[ENTRIES];
    /* The table: keys on open pages, references in the mapping. */
    uint32_t keys[CAPACITY];
    struct segue_mapping slots;
};

extern struct weak_heap heap;

/* SplitMix64. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The table's references in one of the mapping's views. Also called by the barrier. */
static inline SEGUE_HOT_POLICY struct object **slots_at(void *view)
{
    return view;
}

/* Builds objects and table anew from random numbers; the same numbers give the same heap. */
void heap_build(uint64_t *random);

/* Finds what is strongly reachable, by a walk that has nothing to do with the collector. Returns how many objects are
 * not. */
uint64_t heap_find_truth(void);

/* The object under the key, NULL if its slot is null: loads one slot by the mapping's program view. */
struct object *heap_look_up(uint32_t key);

/* Whether neither the object nor anything that it refers to was freed. */
bool heap_is_whole(const struct object *object);

#endif
