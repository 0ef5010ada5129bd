/* read_barrier_main.c: the collector and the mutator of read_barrier.c. Each slot of the heap holds the address of an
 * object that has moved by one page; a load must never see the old one. */
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>

struct gc {
    /* Changed by faults of the code that reads them. */
    volatile int locked;
    volatile unsigned forwarded, opened;
};
struct gc the_gc;

void gc_lock(struct gc *gc);
void gc_unlock(struct gc *gc);
void gc_forward(struct gc *gc, void *slot);
enum segue_verdict gc_open_page(struct gc *gc, uint64_t address);
void mutate(void *heap);

void gc_lock(struct gc *gc)
{
    gc->locked++;
}

void gc_unlock(struct gc *gc)
{
    gc->locked--;
}

/* Once for each slot: forwarded references are odd. */
void gc_forward(struct gc *gc, void *slot)
{
    uint64_t *word = slot;
    if (*word & 1)
        return;
    *word += 4097;
    gc->forwarded++;
}

enum segue_verdict gc_open_page(struct gc *gc, uint64_t address)
{
    (void)address;
    gc->opened++;
    return SEGUE_PASS;
}

#define EXPECT(condition) (void)((condition) || (printf("line %d: %s\n", __LINE__, #condition), failures++))

void mutate(void *heap)
{
    volatile uint64_t *slots = heap;
    unsigned failures = 0;
    EXPECT(slots[0] == 4097 && the_gc.forwarded == 1);
    EXPECT(slots[0] == 4097 && the_gc.forwarded == 1);
    /* A load over two slots forwards both. */
    uint64_t both = *(volatile uint64_t *)(void *)((char *)heap + 12);
    EXPECT(the_gc.forwarded == 3 && both == ((uint64_t)4097 << 32));
    slots[3] = 17;
    EXPECT(slots[3] == 17 && the_gc.locked == 0 && the_gc.opened == 0);
    printf("%u forwarded\n", the_gc.forwarded);
    if (failures)
        exit(1);
}
