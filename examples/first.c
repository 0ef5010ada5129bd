/* first.c: the program of README.md. */
#include <segue/segue.h>
#include <stdio.h>
#include <sys/mman.h>

struct accesses {
    int reads, writes;
};

static enum segue_verdict count_access(void *context, const struct segue_event *event)
{
    struct accesses *accesses = context; /* event->address, event->size, event->regs, event->plan ... */
    ++*(event->direction & SEGUE_WRITE ? &accesses->writes : &accesses->reads);
    return SEGUE_STEP;
}

int main(void)
{
    struct segue_mapping heap;
    struct accesses accesses = {0};

    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, 1 << 20, &heap) != SEGUE_OK)
        return 1;

    struct segue_region region = {
        .window = {.base = (uint64_t)heap.memory, .size = heap.size, .kind = SEGUE_WINDOW_ALIAS, .alias = heap.alias},
        .policy = count_access,
        .context = &accesses,
    };
    if (segue_region_add(&region) != SEGUE_OK)
        return 1;
    mprotect(heap.memory, heap.size, PROT_NONE);

    volatile int *cell = heap.memory;
    *cell = 42;
    int value = *cell;
    printf("%d: %d write to a protected page, and %d read\n", value, accesses.writes, accesses.reads);
    return 0;
}
