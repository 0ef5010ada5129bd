/* regions.c: the region table against a plain model, and under threads that add and remove while others fault. */
#include "decode/host.h"
#include "decode/x86/compiler/shared_word.h"
#include "decode/x86/page.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emulate/details.h"
#include "emulate/plan.h"
#include "signals/fault/footprint.h"
#include "signals/regions/readers.h"
#include "signals/regions/table.h"

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- the table alone ------------------------------------------------------------------------------------------- */

struct model_region {
    uint64_t base, size;
    /* Not 0, and another one for each. */
    uint32_t item;
};

static struct model_region *model_find(struct model_region *regions, size_t count, uint64_t address)
{
    for (size_t i = 0; i < count; i++)
        if (address - regions[i].base < regions[i].size)
            return &regions[i];
    return NULL;
}

static bool model_overlaps(const struct model_region *regions, size_t count, uint64_t base, uint64_t size)
{
    for (size_t i = 0; i < count; i++)
        if (base < regions[i].base + regions[i].size && regions[i].base < base + size)
            return true;
    return false;
}

/* Ranges of every magnitude, with ends on and off the boundaries of the levels. */
static void random_range(uint64_t *base, uint64_t *size)
{
    unsigned level = (unsigned)(random_next() % TABLE_LEVELS);
    uint64_t unit = (uint64_t)PAGE << (level * TABLE_LEVEL_BITS);
    *base = random_next() % 6 * unit + (random_next() % 3 ? 0 : random_next() % 4 * PAGE);
    *size = (1 + random_next() % 3) * (random_next() % 2 ? unit : PAGE);
    if (random_next() % 4 == 0)
        *size += random_next() % 600 * PAGE;
    if (*base + *size > TABLE_LIMIT)
        *base = TABLE_LIMIT - *size;
}

#define MODEL_REGIONS 64

static void assert_same_everywhere(const struct table *table, struct model_region *regions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t edges[] = {regions[i].base - 1, regions[i].base, regions[i].base + regions[i].size / 2,
                                  regions[i].base + regions[i].size - 1, regions[i].base + regions[i].size};
        for (size_t k = 0; k < 5; k++) {
            struct model_region *expected = model_find(regions, count, edges[k]);
            const struct region *found = table_find(table, edges[k]);
            assert_int_equal(found ? (uintptr_t)found->context : 0, expected ? expected->item : 0);
            if (found)
                assert_int_equal(found->base, expected->base);
        }
    }
}

/* As segue_region_remove, with no readers to wait for. */
static void remove_at(struct table *table, uint64_t base)
{
    const struct region *region = table_find(table, base);
    struct table_node *retired = table_retired(table);
    assert_non_null(region);
    struct region copy = *region;
    table_hide(table, region);
    assert_null(table_find(table, copy.base));
    assert_null(table_find(table, copy.base + copy.size - 1));
    assert_int_equal(table_add(table, &copy), SEGUE_OVERLAP);
    table_remove(table, region);
    table_reuse(table, retired);
}

static void table_agrees_with_a_plain_list(void **state)
{
    static struct table table;
    struct model_region regions[MODEL_REGIONS];
    size_t count = 0;
    uint32_t items = 0;
    (void)state;
    random_state = 0x5e60e;
    for (unsigned round = 0; round < 200000; round++) {
        if (count < MODEL_REGIONS && random_next() % 2) {
            struct region region = {.context = (void *)(uintptr_t)++items};
            random_range(&region.base, &region.size);
            bool overlaps = model_overlaps(regions, count, region.base, region.size);
            assert_int_equal(table_add(&table, &region), overlaps ? SEGUE_OVERLAP : SEGUE_OK);
            if (!overlaps)
                regions[count++] = (struct model_region){region.base, region.size, items};
        } else if (count) {
            size_t which = random_next() % count;
            remove_at(&table, regions[which].base);
            regions[which] = regions[--count];
        }
        if (round % 64 == 0)
            assert_same_everywhere(&table, regions, count);
    }
    while (count)
        remove_at(&table, regions[--count].base);
    for (unsigned i = 0; i < TABLE_SLOTS; i++)
        assert_int_equal(table.root.slots[i], 0);
    assert_int_equal(table.root.used, 0);
}

static void addresses_that_no_user_has_are_in_no_region(void **state)
{
    static struct table table;
    const struct region all = {.base = 0, .size = TABLE_LIMIT};
    (void)state;
    assert_int_equal(table_add(&table, &all), SEGUE_OK);
    assert_int_equal(table_find(&table, 0)->size, TABLE_LIMIT);
    assert_ptr_equal(table_find(&table, TABLE_LIMIT - 1), table_find(&table, 0));
    assert_null(table_find(&table, TABLE_LIMIT));
    assert_null(table_find(&table, ~(uint64_t)0));
    assert_int_equal(table.root.used, TABLE_SLOTS / 2);
    remove_at(&table, 0);
    assert_null(table_find(&table, 4096));
}

/* ---- a million -------------------------------------------------------------------------------------------------- */

static enum segue_verdict count_pages(void *context, const struct segue_event *event)
{
    *(uint64_t *)context += event->address / PAGE;
    return SEGUE_STEP;
}

static void a_million_regions_are_each_found(void **state)
{
    /* As many as 32-bit addresses have room for, there. */
    enum { COUNT = sizeof(void *) == 8 ? 1000000 : 100000, TOUCHED = 2000 };
    struct segue_mapping mapping;
    uint64_t sum = 0, expected = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, (size_t)COUNT * PAGE, &mapping), SEGUE_OK);
    mprotect(mapping.memory, mapping.size, PROT_NONE);
    struct segue_region region = {
        .window = {.size = PAGE, .kind = SEGUE_WINDOW_ALIAS}, .policy = count_pages, .context = &sum};
    for (size_t i = 0; i < COUNT; i++) {
        region.window.base = (uintptr_t)mapping.memory + i * PAGE;
        region.window.alias = (char *)mapping.alias + i * PAGE;
        if (segue_region_add(&region) != SEGUE_OK)
            fail();
    }
    random_state = 77;
    for (size_t i = 0; i < TOUCHED; i++) {
        size_t offset = random_next() % COUNT * PAGE + random_next() % 512 * 8;
        *(volatile size_t *)((char *)mapping.memory + offset) = offset;
        expected += ((uintptr_t)mapping.memory + offset) / PAGE;
        if (*(size_t *)((char *)mapping.alias + offset) != offset)
            fail();
    }
    assert_int_equal(sum, expected);
    for (size_t i = 0; i < COUNT; i++)
        if (segue_region_remove((char *)mapping.memory + i * PAGE) != SEGUE_OK)
            fail();
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

#define SHARED_PAGES 64

struct stress {
    struct segue_mapping mapping;
    volatile int stop;
    /* Per page: its region is in place and its page closed. */
    shared_word steps, changes;
};

/* Loads words that never change from pages that come and go. */
static void *fault_everywhere(void *context)
{
    struct stress *stress = context;
    uint64_t seed = (uint64_t)(uintptr_t)&seed | 1, steps = 0;
    segue_thread_attach();
    while (!stress->stop) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        uint64_t index = seed % (SHARED_PAGES * PAGE / 8);
        if (((volatile uint64_t *)stress->mapping.memory)[index] != index)
            abort();
        steps++;
    }
    __atomic_fetch_add(&stress->steps, steps, __ATOMIC_RELAXED);
    return NULL;
}

/* Closes and opens the pages of its own half, one region after the other. */
static void change_half(struct stress *stress, size_t first, size_t rounds)
{
    for (size_t round = 0; round < rounds; round++) {
        size_t page = first + round % (SHARED_PAGES / 2);
        char *base = (char *)stress->mapping.memory + page * PAGE;
        struct segue_region region = {.window = {.base = (uintptr_t)base,
                                                 .size = PAGE,
                                                 .kind = SEGUE_WINDOW_ALIAS,
                                                 .alias = (char *)stress->mapping.alias + page * PAGE}};
        if (segue_region_add(&region) != SEGUE_OK)
            abort();
        mprotect(base, PAGE, PROT_NONE);
        usleep(20);
        mprotect(base, PAGE, PROT_READ);
        if (segue_region_remove(base) != SEGUE_OK)
            abort();
        __atomic_fetch_add(&stress->changes, 1, __ATOMIC_RELAXED);
    }
}

static void *change_first_half(void *context)
{
    change_half(context, 0, 3000);
    return NULL;
}

static void *change_second_half(void *context)
{
    change_half(context, SHARED_PAGES / 2, 3000);
    return NULL;
}

static void regions_come_and_go_while_threads_fault(void **state)
{
    static struct stress stress;
    pthread_t faulting[4], changing[2];
    struct segue_counters before, after;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, SHARED_PAGES * PAGE, &stress.mapping), SEGUE_OK);
    for (uint64_t i = 0; i < SHARED_PAGES * PAGE / 8; i++)
        ((uint64_t *)stress.mapping.alias)[i] = i;
    segue_counters_read(&before);
    for (size_t i = 0; i < 4; i++)
        pthread_create(&faulting[i], NULL, fault_everywhere, &stress);
    pthread_create(&changing[0], NULL, change_first_half, &stress);
    pthread_create(&changing[1], NULL, change_second_half, &stress);
    pthread_join(changing[0], NULL);
    pthread_join(changing[1], NULL);
    stress.stop = 1;
    for (size_t i = 0; i < 4; i++)
        pthread_join(faulting[i], NULL);
    segue_counters_read(&after);
    assert_int_equal(stress.changes, 6000);
    assert_true(stress.steps > 0);
    assert_true(after.stepped > before.stepped);
    assert_int_equal(after.refused, before.refused);
    assert_int_equal(after.passed, before.passed);
    assert_int_equal(segue_mapping_destroy(&stress.mapping), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- what a step touches --------------------------------------------------------------------------------------- */

#define PLACE (sizeof(void *) == 8 ? UINT64_C(0x700000000000) : 0x70000000)

static const struct region *add_alias(uint64_t base, uint64_t alias)
{
    struct segue_region region = {
        .window = {.base = base, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = (void *)(uintptr_t)alias}};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    return region_at(base);
}

/* REP MOVSB from two pages that lie together to the end of one: the step ends there, so that the second of the two is
 * met and not touched. */
static void plan_move_from_two_pages(struct footprint *footprint, struct segue_plan *plan)
{
    const struct segue_regs regs = {.rcx = 64, .rsi = PLACE + PAGE - 16, .rdi = PLACE + 9 * PAGE - 16};
    assert_int_equal(segue_decode(HOST_MODE, "\xf3\xa4", 2, &plan->insn), SEGUE_OK);
    assert_int_equal(segue_replay_prepare(), SEGUE_OK);
    assert_int_equal(plan_accesses(plan, sizeof *plan, &regs, NULL, NULL), SEGUE_OK);
    assert_int_equal(footprint_plan(footprint, NULL, plan), SEGUE_OK);
}

static void region_that_is_added_to_a_plan_changes_no_window(void **state)
{
    static struct footprint footprint;
    static struct segue_plan plan;
    struct segue_window before[PLAN_PIECES];
    (void)state;
    const struct region *first = add_alias(PLACE, PLACE + 16 * PAGE), *other = add_alias(PLACE + 4 * PAGE, PLACE);
    add_alias(PLACE + PAGE, PLACE + 17 * PAGE);
    const struct region *target = add_alias(PLACE + 8 * PAGE, PLACE + 32 * PAGE);
    uint32_t place = readers_enter(NULL);
    plan_move_from_two_pages(&footprint, &plan);
    readers_leave(place);
    assert_int_equal(details_of(&plan)->elements, 16);
    assert_int_equal(footprint.count, 2);
    assert_int_equal(footprint.windows[1].base, PLACE + PAGE);
    for (uint32_t i = 0; i < details_of(&plan)->piece_count; i++)
        before[i] = *details_of(&plan)->pieces[i].window;
    footprint_add(&footprint, other);
    footprint_add(&footprint, first);
    for (uint32_t i = 0; i < details_of(&plan)->piece_count; i++)
        assert_memory_equal(details_of(&plan)->pieces[i].window, &before[i], sizeof before[i]);
    assert_int_equal(footprint.count, 3);
    assert_ptr_equal(footprint.regions[0], first);
    assert_ptr_equal(footprint.regions[1], target);
    assert_ptr_equal(footprint.regions[2], other);
    for (unsigned page = 0; page < 9; page++)
        segue_region_remove((void *)(uintptr_t)(PLACE + page * PAGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_agrees_with_a_plain_list),
        cmocka_unit_test(addresses_that_no_user_has_are_in_no_region),
        cmocka_unit_test(a_million_regions_are_each_found),
        cmocka_unit_test(region_that_is_added_to_a_plan_changes_no_window),
        cmocka_unit_test(regions_come_and_go_while_threads_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
