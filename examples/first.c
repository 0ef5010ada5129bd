/* first.c: the program of README.md. */
#include <segue/segue.h>
#include <stdio.h>
#include <sys/mman.h>

static enum segue_verdict told(void *context, const struct segue_event *event)
{
    (void)event; /* event->address, event->size, event->direction, event->regs, event->plan ... */
    ++*(int *)context;
    return SEGUE_STEP;
}

int main(void)
{
    struct segue_mapping heap;
    int accesses = 0;

    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, 1 << 20, &heap) != SEGUE_OK)
        return 1;

    struct segue_region region = {
        .window = {.base = (uint64_t)heap.memory, .size = heap.size, .kind = SEGUE_WINDOW_ALIAS, .alias = heap.alias},
        .policy = told,
        .context = &accesses,
    };
    if (segue_region_add(&region) != SEGUE_OK)
        return 1;
    mprotect(heap.memory, heap.size, PROT_NONE);

    volatile int *cell = heap.memory;
    *cell = 42;
    int value = *cell;
    printf("%d, after %d accesses to a closed page\n", value, accesses);
    return 0;
}
