/* heap.c: the weak-table demo's heap: how it is built, what is alive in it, and the load that it is all about. */
#include "heap.h"

#include <string.h>

#define NO_KEY UINT32_MAX

struct weak_heap heap;

static size_t find_index(uint32_t key)
{
    size_t index = (key * 2654435761u) >> (32 - CAPACITY_BITS);
    while (heap.keys[index] != key && heap.keys[index] != NO_KEY)
        index = (index + 1) % CAPACITY;
    return index;
}

/* The one load that runs into closed pages: a plain mov of a word, at every level of optimisation. */
static __attribute__((noinline)) struct object *load_slot(struct object **slot)
{
    return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

struct object *heap_look_up(uint32_t key)
{
    return load_slot(&slots_at(heap.slots.memory)[find_index(key)]);
}

/* Half of the objects hang in a tree under the root; the others form chains that nothing but the table refers to, each
 * with a reference to something alive. */
static void build_graph(uint64_t *random)
{
    static struct object *tree[ENTRIES];
    size_t in_tree = 0;
    struct object *chain = NULL;
    for (uint32_t key = 0; key < ENTRIES; key++) {
        struct object *object = &heap.objects[key];
        *object = (struct object){.key = key};
        uint64_t bits = next_random(random);
        if (in_tree == 0 || (bits & 1)) {
            if (in_tree)
                tree[(in_tree - 1) / 2]->children[(in_tree - 1) % 2] = object;
            tree[in_tree++] = object;
            continue;
        }
        object->children[0] = bits & 2 ? chain : NULL;
        object->children[1] = tree[(bits >> 8) % in_tree];
        chain = object;
    }
    heap.root = tree[0];
}

static void build_table(void)
{
    memset(heap.keys, 0xff, sizeof heap.keys);
    memset(heap.slots.alias, 0, heap.slots.size);
    for (uint32_t key = 0; key < ENTRIES; key++) {
        size_t index = find_index(key);
        heap.keys[index] = key;
        slots_at(heap.slots.alias)[index] = &heap.objects[key];
    }
}

void heap_build(uint64_t *random)
{
    build_graph(random);
    build_table();
}

uint64_t heap_find_truth(void)
{
    static struct object *pending[ENTRIES];
    size_t count = 0, alive = 0;
    memset(heap.reachable, 0, sizeof heap.reachable);
    heap.reachable[heap.root->key] = true;
    pending[count++] = heap.root;
    while (count) {
        const struct object *object = pending[--count];
        alive++;
        for (size_t i = 0; i < 2; i++) {
            struct object *child = object->children[i];
            if (!child || heap.reachable[child->key])
                continue;
            heap.reachable[child->key] = true;
            pending[count++] = child;
        }
    }
    return ENTRIES - alive;
}

bool heap_is_whole(const struct object *object)
{
    if (object->key >= ENTRIES)
        return false;
    for (size_t i = 0; i < 2; i++)
        if (object->children[i] && object->children[i]->key >= ENTRIES)
            return false;
    return true;
}
