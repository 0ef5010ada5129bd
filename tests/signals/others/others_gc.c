/* others_gc.c: Boehm's collector, which finds out what is written by closing its heap's pages, with Segue installed
 * before it, after it, and not at all. Each case runs in a process of its own: lists, weak links and finalizers of
 * several threads, with collections in between, and a region that is stepped all the while. */
#include "tests/support/test.h"

#define GC_THREADS
#include <gc/gc.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/child.h"

#define PAGE 4096u
#define REGION 0x21000000u
#define THREADS 3
#define ROUNDS 60
#define LENGTH 2000

struct cell {
    struct cell *next, *newer;
    uint64_t value, check;
};

/* What a thread has found. */
struct result {
    uint64_t total, length;
};

static struct result results[THREADS + 1];
static volatile uint64_t *region;
static volatile uint64_t finalized;

static void count_finalized(void *object, void *unused)
{
    (void)object;
    (void)unused;
    __atomic_fetch_add(&finalized, 1, __ATOMIC_RELAXED);
}

static struct cell *make(struct cell *next, uint64_t value)
{
    struct cell *cell = GC_MALLOC(sizeof *cell);
    *cell = (struct cell){.next = next, .value = value, .check = ~value};
    return cell;
}

/* A longer list. Each old cell is made to point to a new one, which nothing else does: the collector must notice that
 * it was written to. */
static struct cell *grow(struct cell *list, uint64_t seed)
{
    unsigned count = 0;
    for (struct cell *old = list; old && count < LENGTH; old = old->next, count++)
        old->newer = make(NULL, old->value + seed);
    for (unsigned i = 0; i < LENGTH; i++) {
        struct cell *lost = make(list, i);
        if (i % 64 == 0)
            GC_REGISTER_FINALIZER(lost, count_finalized, NULL, NULL, NULL);
        list = make(list, seed + i);
    }
    return list;
}

static uint64_t sum(const struct cell *list, uint64_t *length)
{
    uint64_t total = 0;
    for (; list; list = list->next, ++*length) {
        if (list->check != ~list->value || (list->newer && list->newer->check != ~list->newer->value))
            _exit(90);
        total = total * 31 + list->value + (list->newer ? list->newer->value : 0);
    }
    return total;
}

static void *work(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    struct result *result = &results[seed];
    struct cell **roots = GC_MALLOC(8 * sizeof *roots);
    if (argument && segue_install_check(NULL) != SEGUE_NOT_FOUND && segue_thread_attach() != SEGUE_OK)
        _exit(91);
    for (unsigned round = 0; round < ROUNDS; round++) {
        roots[round % 8] = grow(round % 32 < 8 ? NULL : roots[round % 8], seed + round);
        region[seed] += round;
        if (round % 10 == 9)
            GC_gcollect();
        else
            GC_collect_a_little();
        result->total ^= sum(roots[round % 8], &result->length);
    }
    return NULL;
}

/* The collector takes the stack of a suspended thread to go on from its stack pointer: so no thread may be suspended on
 * an alternate one. */
static void install(uint32_t flags)
{
    struct segue_options options = {.flags = flags};
    if (segue_install(&options) != SEGUE_OK)
        _exit(92);
}

static void make_region(bool is_closed)
{
    struct segue_mapping mapping;
    if (segue_mapping_create((void *)REGION, PAGE, &mapping) != SEGUE_OK)
        _exit(93);
    region = mapping.memory;
    if (!is_closed)
        return;
    struct segue_region ours = {
        .window = {.base = REGION, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    if (segue_region_add(&ours) != SEGUE_OK)
        _exit(94);
    mprotect(mapping.memory, PAGE, PROT_NONE);
}

enum order { WITHOUT, BEFORE, AFTER };

/* `bits`: the collector closes pages; else it does not want to know what was written. */
static int collect(enum order order, uint32_t flags, bool bits)
{
    pthread_t threads[THREADS];
    struct segue_counters counters;
    setenv("GC_USE_GETWRITEWATCH", "0", 1);
    if (order == BEFORE)
        install(flags);
    if (bits)
        GC_enable_incremental();
    GC_INIT();
    GC_allow_register_threads();
    if (order == AFTER)
        install(flags);
    if (bits && GC_incremental_protection_needs() == GC_PROTECTS_NONE)
        return 95;
    make_region(order != WITHOUT);
    for (uintptr_t i = 1; i <= THREADS; i++)
        GC_pthread_create(&threads[i - 1], NULL, work, (void *)i);
    work(0);
    for (unsigned i = 0; i < THREADS; i++)
        GC_pthread_join(threads[i], NULL);
    GC_gcollect();
    GC_invoke_finalizers();
    if (finalized < 100)
        return 96;
    segue_counters_read(&counters);
    for (unsigned i = 0; i <= THREADS; i++)
        printf("%u: %lx over %lu, %lu in the region\n", i, results[i].total, results[i].length, region[i]);
    if (order != WITHOUT && counters.stepped < (THREADS + 1) * ROUNDS)
        return 97;
    /* Over ours, the collector's handler keeps what is its own; under ours it comes to it by us. */
    if (bits && order == AFTER && counters.passed == 0)
        return 98;
    return 5;
}

static int without(void)
{
    return collect(WITHOUT, 0, true);
}

static int before_default(void)
{
    return collect(BEFORE, 0, true);
}

static int after_default(void)
{
    return collect(AFTER, 0, true);
}

static int before_own_stack(void)
{
    return collect(BEFORE, SEGUE_INSTALL_OWN_STACK, true);
}

static int before_blocking(void)
{
    return collect(BEFORE, SEGUE_INSTALL_BLOCK_SIGNALS, true);
}

static int before_unasked(void)
{
    return collect(BEFORE, SEGUE_INSTALL_OWN_STACK, false);
}

static int after_own_stack(void)
{
    return collect(AFTER, SEGUE_INSTALL_OWN_STACK, true);
}

static int after_blocking(void)
{
    return collect(AFTER, SEGUE_INSTALL_BLOCK_SIGNALS, true);
}

static int after_unasked(void)
{
    return collect(AFTER, SEGUE_INSTALL_OWN_STACK, false);
}

static const struct child_case cases[] = {
    {"without", without},
    {"before_default", before_default},
    {"after_default", after_default},
    {"before_own_stack", before_own_stack},
    {"before_blocking", before_blocking},
    {"before_unasked", before_unasked},
    {"after_own_stack", after_own_stack},
    {"after_blocking", after_blocking},
    {"after_unasked", after_unasked},
};

static void is_as_without(const char *name)
{
    struct child_result plain = child_run("without"), result = child_run(name);
    assert_int_equal(plain.status, 5);
    assert_string_equal(result.output, plain.output);
    assert_int_equal(result.status, 5);
}

static void collector_over_us_collects_the_same(void **state)
{
    (void)state;
    is_as_without("before_default");
    is_as_without("before_own_stack");
    is_as_without("before_blocking");
    is_as_without("before_unasked");
}

static void collector_under_us_collects_the_same(void **state)
{
    (void)state;
    is_as_without("after_default");
    is_as_without("after_own_stack");
    is_as_without("after_blocking");
    is_as_without("after_unasked");
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collector_over_us_collects_the_same),
        cmocka_unit_test(collector_under_us_collects_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
