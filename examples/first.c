/* first.c: the program of README.md. */
#include <segue/segue.h>
#include <stdio.h>

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

    if (segue_install(NULL) || segue_mapping_create(NULL, 1 << 20, &heap)) /* one memory, two views */
        return 1;

    struct segue_region region = {
        .window = segue_mapping_window(&heap),
        .policy = count_access,
        .context = &accesses,
    };
    if (segue_region_add(&region) || segue_mapping_protect(&heap, 0, heap.size, 0))
        return 1;

    volatile int *cell = heap.memory;
    *cell = 42;
    int value = *cell;
    printf("%d: %d write to a protected page, and %d read\n", value, accesses.writes, accesses.reads);
    return 0;
}
