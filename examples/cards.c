/* cards.c: which cards, and which bytes, were written since the last snapshot? A write barrier on hot sites marks both
 * before each store; no mutator has a barrier in its code. A snapshot is taken while all threads are suspended: a
 * thread that stands between the barrier and its store goes through the barrier again when it continues.
 *
 * The program checks what a collector relies on: nothing has changed outside of the marks. */
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>

#define HEAP 65536u
#define CARD 128u
#define THREADS 8
#define STORES 1000000u

static struct segue_mapping heap;
/* A byte for each card, and a bit for each byte of the heap. */
static uint8_t cards[HEAP / CARD];
static uint64_t dirty[HEAP / 64];
/* The heap as of the last snapshot. */
static uint8_t copy[HEAP];
static unsigned snapshots, wrong_cards, wrong_bytes;

SEGUE_HOT_POLICY static void mark(uint64_t address, uint64_t size)
{
    uint64_t begin = address - (uint64_t)(uintptr_t)heap.memory, end = begin + size;
    for (uint64_t card = begin / CARD; card <= (end - 1) / CARD; card++)
        __atomic_store_n(&cards[card], 1, __ATOMIC_RELAXED);
    for (uint64_t byte = begin; byte < end; byte++)
        __atomic_fetch_or(&dirty[byte / 64], UINT64_C(1) << (byte % 64), __ATOMIC_RELAXED);
}

/* At hot sites, without a signal. An access of two regions or across the heap's end comes by a fault. */
SEGUE_HOT_POLICY static enum segue_verdict barrier_hot(void *context, const struct segue_hot_event *event)
{
    (void)context;
    if (event->direction & SEGUE_WRITE)
        mark(event->address, event->size);
    return SEGUE_STEP;
}

/* The first store of an instruction, and those that do not become hot. */
static enum segue_verdict barrier(void *context, const struct segue_event *event)
{
    (void)context;
    if (event->direction & SEGUE_WRITE)
        mark(event->address, event->size);
    return event->can_step == SEGUE_OK ? SEGUE_STEP : SEGUE_PASS;
}

/* ---- mutators ---- */

static segue_thread_id mutators[THREADS];
static unsigned running = THREADS;

/* Of several sizes, aligned and not, by vectors, and locked. */
static void store(uint64_t random)
{
    uint8_t *at = (uint8_t *)heap.memory + random % (HEAP - 64);
    uint64_t value = random >> 8;
    switch (random >> 61) {
    case 0:
        *at = (uint8_t)value;
        break;
    case 1:
        memcpy(at, &value, 2);
        break;
    case 2:
        memcpy(at, &value, 4);
        break;
    case 3:
        memset(at, (int)(value & 255), 32);
        break;
    case 4:
        __atomic_fetch_add((uint64_t *)((uintptr_t)at & ~(uintptr_t)7), value, __ATOMIC_RELAXED);
        break;
    default:
        memcpy(at, &value, 8);
    }
}

static void *mutate(void *closure)
{
    uint64_t random = (uint64_t)(uintptr_t)closure * UINT64_C(0x9e3779b97f4a7c15) + 1;
    __atomic_store_n(&mutators[(uintptr_t)closure], segue_thread_self(), __ATOMIC_RELEASE);
    for (unsigned i = 0; i < STORES; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        store(random);
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- snapshots ---- */

/* Compares what is not marked with the last snapshot, and takes what is. */
static void compare(void)
{
    const uint8_t *now = heap.alias;
    for (unsigned card = 0; card < HEAP / CARD; card++) {
        unsigned begin = card * CARD;
        if (!cards[card])
            wrong_cards += memcmp(now + begin, copy + begin, CARD) != 0;
        for (unsigned byte = begin; cards[card] && byte < begin + CARD; byte++)
            wrong_bytes += now[byte] != copy[byte] && !(dirty[byte / 64] >> (byte % 64) & 1);
        memcpy(copy + begin, now + begin, CARD);
    }
    memset(cards, 0, sizeof cards);
    memset(dirty, 0, sizeof dirty);
    snapshots++;
}

static bool snapshot(void)
{
    struct segue_suspension list[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        list[i] = (struct segue_suspension){.thread = mutators[i]};
    enum segue_status status = segue_threads_suspend(list, THREADS, UINT64_MAX);
    if (status == SEGUE_OK)
        compare();
    segue_threads_resume(list, THREADS);
    return status == SEGUE_OK;
}

int main(void)
{
    pthread_t threads[THREADS];
    if (segue_install(NULL) != SEGUE_OK || segue_suspend_install(NULL) != SEGUE_OK ||
        segue_mapping_create(NULL, HEAP, &heap) != SEGUE_OK)
        return 2;
    const struct segue_region region = {.window = segue_mapping_window(&heap),
                                        .policy = barrier,
                                        .hot_policy = barrier_hot,
                                        .flags = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL};
    /* Loads are not protected against, and cost nothing. */
    if (segue_region_add(&region) != SEGUE_OK || segue_mapping_protect(&heap, 0, HEAP, SEGUE_READ) != SEGUE_OK)
        return 2;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, mutate, (void *)i) != 0)
            return 2;
    for (unsigned i = 0; i < THREADS; i++)
        while (!__atomic_load_n(&mutators[i], __ATOMIC_ACQUIRE))
            sched_yield();
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        if (!snapshot())
            return 2;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    compare();
    printf("%u threads, %u stores each: %u cards and %u bytes changed without a mark\n", THREADS, STORES, wrong_cards,
           wrong_bytes);
    fprintf(stderr, "%u snapshots\n", snapshots);
    return wrong_cards || wrong_bytes;
}
