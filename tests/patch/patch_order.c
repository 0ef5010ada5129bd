/* patch_order.c: in which order the changes of a batch come into force, and which of them fall together. */
#include "tests/support/test.h"

#include "patch/poke/protocol/order.h"

#define MOST 9u

static struct order_change *const *pointers_to(struct order_change *changes, unsigned count)
{
    static struct order_change *pointers[MOST];
    for (unsigned i = 0; i < count; i++)
        pointers[i] = changes + i;
    return pointers;
}

static void length_of_a_pun_is_that_of_its_jump(void **state)
{
    (void)state;
    assert_int_equal(order_length((const uint8_t *)"\xe9\x00\x00", 3), 5);
    assert_int_equal(order_length((const uint8_t *)"\xe9", 1), 5);
    assert_int_equal(order_length((const uint8_t *)"\x2e\x2e\xe9\x00", 4), 7);
    assert_int_equal(order_length((const uint8_t *)"\x48\x8b\x07", 3), 3);
    assert_int_equal(order_length((const uint8_t *)"\x90\x90\x90", 3), 3);
}

static void levels_count_what_reads_what(void **state)
{
    /* A chain of three puns and a jump; a pun over an instruction that stays, and over two changes; and one alone. */
    struct order_change changes[] = {
        {.address = 0, .size = 3, .old_length = 3, .new_length = 5},
        {.address = 3, .size = 3, .old_length = 3, .new_length = 5},
        {.address = 6, .size = 3, .old_length = 5, .new_length = 5},
        {.address = 9, .size = 5, .old_length = 5, .new_length = 5},
        {.address = 20, .size = 2, .old_length = 6, .new_length = 2},
        {.address = 23, .size = 2, .old_length = 2, .new_length = 2},
        {.address = 25, .size = 2, .old_length = 5, .new_length = 2},
        {.address = 40, .size = 2, .old_length = 5, .new_length = 5},
    };
    static const uint8_t old_levels[] = {0, 0, 1, 0, 1, 0, 0, 0}, new_levels[] = {3, 2, 1, 0, 0, 0, 0, 0};
    (void)state;
    order_find_overlaps(pointers_to(changes, 8), 8);
    order_find_levels(pointers_to(changes, 8), 8);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(changes[i].old_level, old_levels[i]);
        assert_int_equal(changes[i].new_level, new_levels[i]);
        assert_int_equal(changes[i].is_tied, i < 7);
        assert_false(changes[i].overlaps);
    }
}

static void refusal_spreads_to_those_that_depend(void **state)
{
    struct order_change changes[] = {
        {.address = 0, .size = 3, .old_length = 3, .new_length = 5},
        {.address = 3, .size = 3, .old_length = 3, .new_length = 5},
        {.address = 6, .size = 3, .old_length = 3, .new_length = 3, .is_refused = true},
        {.address = 20, .size = 3, .old_length = 5, .new_length = 3, .is_refused = true},
        {.address = 23, .size = 3, .old_length = 5, .new_length = 3},
        {.address = 26, .size = 3, .old_length = 3, .new_length = 3},
        /* One that is refused harms neither its old reader nor what only its new instruction would read. */
        {.address = 40, .size = 3, .old_length = 5, .new_length = 3},
        {.address = 43, .size = 3, .old_length = 3, .new_length = 5, .is_refused = true},
        {.address = 46, .size = 3, .old_length = 3, .new_length = 3},
    };
    (void)state;
    order_spread(pointers_to(changes, 9), 9);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(changes[i].is_refused, i < 6 || i == 7);
}

static void overlaps_are_found_on_both_sides(void **state)
{
    struct order_change changes[] = {
        {.address = 0, .size = 16}, {.address = 2, .size = 2},  {.address = 15, .size = 2},
        {.address = 17, .size = 1}, {.address = 20, .size = 2}, {.address = 20, .size = 2},
    };
    (void)state;
    order_find_overlaps(pointers_to(changes, 6), 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(changes[i].overlaps, i != 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(length_of_a_pun_is_that_of_its_jump),
        cmocka_unit_test(levels_count_what_reads_what),
        cmocka_unit_test(refusal_spreads_to_those_that_depend),
        cmocka_unit_test(overlaps_are_found_on_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
