/* values.c: every access to a counter, with the value that it read or wrote; and the writes that would make it odd,
 * which are not done. Two threads add to it at once by locked instructions: the reported values are those of the
 * operations themselves. */
#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 1000

/* What the policies note. A policy runs inside a signal handler: it notes, and main prints. */
static struct {
    unsigned long reads, writes, refused;
    long last_before, last_after;
} seen;

/* How often the counter had each value right after a locked addition. */
static unsigned char had[4 * ROUNDS + 1];

static void note(void *context, const struct segue_value *value)
{
    long before = 0, after = 0;
    (void)context;
    memcpy(&before, value->before, value->size);
    memcpy(&after, value->after, value->size);
    if (value->direction & SEGUE_READ)
        __atomic_fetch_add(&seen.reads, 1, __ATOMIC_RELAXED);
    if (value->direction & SEGUE_WRITE)
        __atomic_fetch_add(&seen.writes, 1, __ATOMIC_RELAXED);
    seen.last_before = before;
    seen.last_after = after;
    if (after > before && after <= 4 * ROUNDS)
        __atomic_fetch_add(&had[after], 1, __ATOMIC_RELAXED);
}

static void is_odd(void *odd, const struct segue_value *value)
{
    long after = 0;
    memcpy(&after, value->after, value->size);
    *(int *)odd = (value->direction & SEGUE_WRITE) && after % 2;
}

/* Looks first at what the instruction would do; what it may do is done here. */
static enum segue_verdict look(void *context, const struct segue_event *event)
{
    int odd = 0;
    (void)context;
    if (segue_event_preview(event, is_odd, &odd) == SEGUE_OK && odd) {
        __atomic_fetch_add(&seen.refused, 1, __ATOMIC_RELAXED);
        event->regs->rip += event->plan->insn.length;
        return SEGUE_DONE;
    }
    return segue_event_step(event, note, NULL) == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

static void *add(void *counter)
{
    for (int i = 0; i < ROUNDS; i++)
        __atomic_fetch_add((long *)counter, 2, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(void)
{
    struct segue_mapping memory;
    pthread_t threads[2];
    unsigned once = 0;
    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, 4096, &memory) != SEGUE_OK)
        return 1;
    struct segue_region region = {
        .window = {.base = (uint64_t)memory.memory,
                   .size = memory.size,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = memory.alias},
        .policy = look,
    };
    if (segue_region_add(&region) != SEGUE_OK || mprotect(memory.memory, memory.size, PROT_NONE) != 0)
        return 1;
    volatile long *counter = memory.memory;
    *counter = 6;
    printf("a store: %ld becomes %ld\n", seen.last_before, seen.last_after);
    *counter = 7;
    printf("an odd one is not done: the counter is %ld, %lu refused\n", *counter, seen.refused);
    *counter = 0;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, add, memory.memory) != 0)
            return 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (long value = 2; value <= 4 * ROUNDS; value += 2)
        once += had[value] == 1 || value == 6;
    printf("two threads added up to %ld; %u values were reported, each once\n", *counter, once);
    printf("%lu reads, %lu writes\n", seen.reads, seen.writes);
    return 0;
}
