/* near.c: addresses near some pages are reserved as long as there are any, and large ones behind many small ones. */
#include "tests/support/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "platform/memory/adopted.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

#define PAGE UINT64_C(4096)
#define SMALL (6 * PAGE)
#define LARGE (UINT64_C(512) << 20)
#define MANY 2000u
/* As many as would fit into all addresses that are near, and one. */
#define PIECE (UINT64_C(32) << 20)
#define MOST 128u

struct reserved {
    uint64_t at, size;
};

static int compare(const void *one, const void *other)
{
    const struct reserved *first = one, *second = other;
    return first->at < second->at ? -1 : first->at > second->at;
}

static uint64_t distance(uint64_t one, uint64_t other)
{
    return one < other ? other - one : one - other;
}

static void check_all(struct reserved *all, size_t count, uint64_t page)
{
    qsort(all, count, sizeof *all, compare);
    for (size_t i = 0; i < count; i++) {
        assert_true(all[i].at % PAGE == 0);
        assert_true(distance(all[i].at, page + PAGE) <= PLATFORM_VIEWS_NEAR);
        assert_true(distance(all[i].at + all[i].size, page) <= PLATFORM_VIEWS_NEAR);
        assert_true(i == 0 || all[i - 1].at + all[i - 1].size <= all[i].at);
    }
}

static void give_back(const struct reserved *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        platform_unreserve_near(all[i].at, all[i].size);
}

static void large_one_fits_behind_many_small_ones(void **state)
{
    static struct reserved all[MANY + 1];
    (void)state;
    char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    const uint64_t at = (uint64_t)(uintptr_t)page;
    for (size_t i = 0; i <= MANY; i++) {
        const uint64_t size = i == MANY ? LARGE : SMALL;
        all[i] = (struct reserved){platform_reserve_near(at, PAGE, size), size};
        assert_true(all[i].at);
    }
    check_all(all, MANY + 1, at);
    give_back(all, MANY + 1);
    munmap(page, PAGE);
}

static struct mapping stack(void)
{
    struct mapping mapping;
    assert_true(mappings_find((uint64_t)(uintptr_t)&mapping, &mapping));
    return mapping;
}

/* Up to where no addresses are left; none of them is the stack's. */
static void first_stack_can_grow(void **state)
{
    static struct reserved all[MOST];
    const struct mapping mapping = stack();
    const uint64_t page = mapping.start;
    size_t count = 0;
    (void)state;
    while (count < MOST && (all[count].at = platform_reserve_near(page, PAGE, PIECE)) != 0)
        all[count++].size = PIECE;
    assert_true(count > 0 && count < MOST);
    check_all(all, count, page);
    for (size_t i = 0; i < count; i++)
        assert_true(all[i].at > page || page - (all[i].at + PIECE) >= UINT64_C(128) << 20);
    give_back(all, count);
    /* What was given back can be had again. */
    const uint64_t again = platform_reserve_near(page, PAGE, PIECE);
    assert_true(again);
    platform_unreserve_near(again, PIECE);
}

static void what_is_given_back_is_given_out_again(void **state)
{
    const uint64_t page = stack().start;
    uint64_t first[3];
    (void)state;
    for (unsigned times = 0; times < 3; times++) {
        uint64_t now[3];
        for (unsigned i = 0; i < 3; i++)
            assert_true(now[i] = platform_reserve_near(page, PAGE, SMALL));
        for (unsigned i = 0; i < 3; i++) {
            first[i] = times ? first[i] : now[i];
            assert_true(now[i] == first[i]);
            platform_unreserve_near(now[(i + 1) % 3], SMALL);
        }
    }
}

static void more_than_is_near_cannot_be_had(void **state)
{
    (void)state;
    assert_true(platform_reserve_near(stack().start, PAGE, PLATFORM_VIEWS_NEAR) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_one_fits_behind_many_small_ones),
        cmocka_unit_test(first_stack_can_grow),
        cmocka_unit_test(what_is_given_back_is_given_out_again),
        cmocka_unit_test(more_than_is_near_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
