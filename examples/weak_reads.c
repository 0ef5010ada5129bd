/* weak_reads.c: a weak table behind a read barrier, on hot sites. A collector stops the mutators for a moment, decides
 * which objects die and where the others move, and marks each slot of the table as pending. Nothing else is done while
 * they are stopped: the barrier settles a slot before the first load of it, by the new reference or by none, whichever
 * instruction loads. No mutator has a barrier in its code.
 *
 * The program checks what a collector relies on: no load sees a slot that is pending, a reference to an object that has
 * moved, or one to an object that is dead. A thread that stands between the barrier and its load when the collector
 * stops it goes through the barrier again. What a register or a stack may refer to is found by a scan, and stays.
 *
 * `weak_reads --still` moves nothing. */
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>

#define SLOTS 4096u
#define OBJECTS 4096u
#define THREADS 8
#define OPERATIONS 1000000u
/* The new objects of each mutator, between two cycles. */
#define FRESH 16u

/* A reference: the tag, an object's number from 1 on, and whether it is pending. */
#define TAG (UINT64_C(0xb10c) << 48)
#define PENDING 1u
#define SEAL UINT64_C(0x5ea1ed5ea1ed5ea1)

typedef uint64_t pair __attribute__((vector_size(16), aligned(8)));

static struct segue_mapping table;
static struct object {
    uint64_t name, sealed;
} objects[OBJECTS];
/* Of this cycle: where each object went; 0: it is dead. */
static uint32_t moved_to[OBJECTS];
static bool live[OBJECTS], pinned[OBJECTS], moves = true;
static uint64_t fresh[THREADS][FRESH];
static uint64_t cycles, moved, died, names;
static unsigned pending_loads, bad_loads;

static uint64_t reference_to(uint32_t number)
{
    return TAG | (uint64_t)number << 1;
}

SEGUE_HOT_POLICY static uint32_t number_of(uint64_t reference)
{
    return (uint32_t)reference >> 1;
}

/* ---- the barrier ---- */

SEGUE_HOT_POLICY static void settle(uint64_t *slot)
{
    uint64_t word = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    while (word & PENDING) {
        uint32_t number = moved_to[number_of(word)];
        uint64_t settled = number ? TAG | (uint64_t)number << 1 : 0;
        if (__atomic_compare_exchange_n(slot, &word, settled, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            break;
    }
}

/* Of all slots that the access touches. */
SEGUE_HOT_POLICY static void settle_all(uint64_t address, uint64_t size)
{
    uint64_t *slots = table.alias, offset = address - (uint64_t)(uintptr_t)table.memory;
    for (uint64_t slot = offset / 8; slot <= (offset + size - 1) / 8; slot++)
        settle(&slots[slot]);
}

SEGUE_HOT_POLICY static enum segue_verdict barrier_hot(void *context, const struct segue_hot_event *event)
{
    (void)context;
    if (event->direction & SEGUE_READ)
        settle_all(event->address, event->size);
    return SEGUE_STEP;
}

/* The first access of an instruction, and those that do not become hot. */
static enum segue_verdict barrier(void *context, const struct segue_event *event)
{
    (void)context;
    if (event->direction & SEGUE_READ)
        settle_all(event->address, event->size);
    return event->can_step == SEGUE_OK ? SEGUE_STEP : SEGUE_PASS;
}

/* ---- mutators ---- */

static segue_thread_id mutators[THREADS];
static uint64_t stack_ends[THREADS];
static unsigned running = THREADS;

/* While it is looked at, the reference is on the stack, where a scan finds it. */
static __attribute__((noinline)) void check(uint64_t reference)
{
    volatile uint64_t held = reference;
    const struct object *object = &objects[number_of(held) % OBJECTS];
    if (held & PENDING)
        __atomic_fetch_add(&pending_loads, 1, __ATOMIC_RELAXED);
    else if (held && __atomic_load_n(&object->sealed, __ATOMIC_RELAXED) !=
                         (__atomic_load_n(&object->name, __ATOMIC_RELAXED) ^ SEAL))
        __atomic_fetch_add(&bad_loads, 1, __ATOMIC_RELAXED);
    held = 0;
}

static void operate(unsigned self, uint64_t random)
{
    uint64_t *slots = table.memory, *slot = &slots[random % (SLOTS - 1)];
    volatile uint64_t held;
    switch (random >> 60) {
    case 0: /* Two slots by one instruction. */
    {
        volatile pair both = *(const volatile pair *)slot;
        check(both[0]);
        check(both[1]);
        both = (pair){0, 0};
    } break;
    case 1:
        held = __atomic_exchange_n(&fresh[self][random >> 32 & (FRESH - 1)], 0, __ATOMIC_RELAXED);
        if (held)
            __atomic_store_n(slot, held, __ATOMIC_RELAXED);
        break;
    case 2:
        held = __atomic_load_n(slot, __ATOMIC_RELAXED);
        held = __atomic_exchange_n(&slots[(random >> 32) % SLOTS], held, __ATOMIC_RELAXED);
        check(held);
        break;
    default:
        check(__atomic_load_n(slot, __ATOMIC_RELAXED));
    }
    held = 0;
}

static void *mutate(void *closure)
{
    uint64_t random = (uint64_t)(uintptr_t)closure * UINT64_C(0x9e3779b97f4a7c15) + 1;
    stack_ends[(uintptr_t)closure] = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    __atomic_store_n(&mutators[(uintptr_t)closure], segue_thread_self(), __ATOMIC_RELEASE);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        operate((unsigned)(uintptr_t)closure, random);
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- the collector, while the mutators are suspended ---- */

static int pin(void *closure, const void *base, const void *limit)
{
    (void)closure;
    for (const uint64_t *word = base; word < (const uint64_t *)limit; word++)
        if ((*word ^ TAG) >> 32 == 0 && number_of(*word) < OBJECTS)
            pinned[number_of(*word)] = true;
    return 0;
}

static uint32_t draw(void)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

/* A place that nothing refers to, or 0. */
static uint32_t find_place(void)
{
    static uint32_t at;
    for (uint32_t i = 1; i < OBJECTS; i++) {
        at = at % (OBJECTS - 1) + 1;
        if (!live[at] && !pinned[at])
            return at;
    }
    return 0;
}

static void destroy(uint32_t number)
{
    live[number] = false;
    objects[number] = (struct object){.name = number, .sealed = 0};
}

/* What only the table refers to may die, or move. */
static void collect_object(uint32_t number)
{
    uint32_t chance = draw() % 16, place = moves && chance >= 8 ? find_place() : 0;
    moved_to[number] = number;
    if (pinned[number] || (chance >= 2 && !place))
        return;
    moved_to[number] = chance < 2 ? 0 : place;
    if (moved_to[number]) {
        objects[place] = objects[number];
        pinned[place] = true;
        moved++;
    } else {
        died++;
    }
    destroy(number);
}

static void make_fresh(uint64_t *to)
{
    uint32_t number = *to ? 0 : find_place();
    if (!number)
        return;
    names++;
    objects[number] = (struct object){.name = names, .sealed = names ^ SEAL};
    live[number] = true;
    *to = reference_to(number);
}

static void collect(const struct segue_suspension *list)
{
    static bool was_live[OBJECTS];
    uint64_t *slots = table.alias;
    /* By the decisions of the last cycle. */
    for (unsigned i = 0; i < SLOTS; i++)
        settle(&slots[i]);
    memset(pinned, 0, sizeof pinned);
    pin(NULL, &fresh[0][0], &fresh[0][0] + THREADS * FRESH);
    for (unsigned i = 0; i < THREADS; i++) {
        if (list[i].status != SEGUE_OK)
            continue;
        segue_mutator_scan(&list[i].context, pin, NULL);
        pin(NULL, (const void *)(uintptr_t)(segue_mutator_sp(&list[i].context) & ~UINT64_C(7)),
            (const void *)(uintptr_t)stack_ends[i]);
    }
    memcpy(was_live, live, sizeof live);
    for (uint32_t number = 1; number < OBJECTS; number++)
        if (was_live[number])
            collect_object(number);
    for (uint32_t number = 1; number < OBJECTS; number++)
        live[number] |= was_live[number] && moved_to[number] == number;
    for (uint32_t number = 1; number < OBJECTS; number++)
        if (was_live[number] && moved_to[number])
            live[moved_to[number]] = true;
    for (unsigned i = 0; i < THREADS * FRESH; i++)
        make_fresh(&fresh[0][0] + i);
    for (unsigned i = 0; i < SLOTS; i++)
        slots[i] |= slots[i] ? PENDING : 0;
    cycles++;
}

static bool cycle(void)
{
    struct segue_suspension list[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        list[i] = (struct segue_suspension){.thread = mutators[i]};
    enum segue_status status = segue_threads_suspend(list, THREADS, UINT64_MAX);
    if (status == SEGUE_OK)
        collect(list);
    segue_threads_resume(list, THREADS);
    return status == SEGUE_OK;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    moves = argc < 2 || strcmp(argv[1], "--still") != 0;
    if (segue_install(NULL) != SEGUE_OK || segue_suspend_install(NULL) != SEGUE_OK ||
        segue_mapping_create(NULL, SLOTS * sizeof(uint64_t), &table) != SEGUE_OK)
        return 2;
    const struct segue_region region = {.window = segue_mapping_window(&table),
                                        .policy = barrier,
                                        .hot_policy = barrier_hot,
                                        .flags = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL};
    if (segue_region_add(&region) != SEGUE_OK || segue_mapping_protect(&table, 0, table.size, 0) != SEGUE_OK)
        return 2;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, mutate, (void *)i) != 0)
            return 2;
    for (unsigned i = 0; i < THREADS; i++)
        while (!__atomic_load_n(&mutators[i], __ATOMIC_ACQUIRE))
            sched_yield();
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        if (!cycle())
            return 2;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%u threads, %u accesses each: %u loads saw a pending slot, %u an object that was gone\n", THREADS,
           OPERATIONS, pending_loads, bad_loads);
    fprintf(stderr, "%llu cycles, %llu objects moved, %llu died\n", (unsigned long long)cycles,
            (unsigned long long)moved, (unsigned long long)died);
    return pending_loads || bad_loads || !died || (moves && !moved);
}
