/* code_range.c: the registry of code ranges: which range is asked, what a range that leads to another one comes to, and
 * what readers find while others add and remove. */
#include "tests/support/test.h"

#include <pthread.h>
#include <stdbool.h>

#include "platform/code_range.h"

#define PLACES 64

static const char code[5][16];

/* To the end of the range. */
static enum code_range_result go_on(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)frame;
    regs->rip = (uint64_t)(uintptr_t)range->end;
    return CODE_RANGE_REGISTERS;
}

static enum code_range_result show(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    go_on(range, regs, frame);
    return CODE_RANGE_SHOWN;
}

static enum code_range_result lead_to_frame(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    *frame = (const void *)(uintptr_t)regs->rsp;
    return CODE_RANGE_FRAME;
}

static enum code_range_result refuse(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    (void)regs;
    (void)frame;
    return CODE_RANGE_NOT_FOUND;
}

static const struct code_range *const nothing[] = {NULL};

static enum code_range_result translate(const struct code_range *const *list, const char *at, struct segue_regs *regs,
                                        const void **frame)
{
    *regs = (struct segue_regs){.rip = (uint64_t)(uintptr_t)at, .rsp = 0x1230};
    *frame = NULL;
    return code_range_translate(list, regs, frame);
}

static void range_is_asked_from_its_first_byte_to_its_last(void **state)
{
    const struct code_range range = {code[1], code[2], go_on}, *const list[] = {&range, NULL};
    struct segue_regs regs;
    const void *frame;
    (void)state;
    assert_int_equal(translate(list, code[1], &regs, &frame), CODE_RANGE_REGISTERS);
    assert_int_equal(regs.rip, (uintptr_t)code[2]);
    assert_int_equal(translate(list, code[2] - 1, &regs, &frame), CODE_RANGE_REGISTERS);
    assert_int_equal(translate(list, code[2], &regs, &frame), CODE_RANGE_NOT_FOUND);
    assert_int_equal(regs.rip, (uintptr_t)code[2]);
    assert_int_equal(translate(list, code[1] - 1, &regs, &frame), CODE_RANGE_NOT_FOUND);
}

static void range_that_refuses_leaves_it_to_the_next(void **state)
{
    const struct code_range everywhere = {NULL, NULL, refuse}, range = {code[1], code[2], go_on};
    const struct code_range *const list[] = {&everywhere, &range, NULL};
    struct segue_regs regs;
    const void *frame;
    (void)state;
    assert_int_equal(translate(list, code[1], &regs, &frame), CODE_RANGE_REGISTERS);
    assert_int_equal(translate(list, code[2], &regs, &frame), CODE_RANGE_NOT_FOUND);
}

static void range_that_leads_to_another_comes_to_what_that_one_does(void **state)
{
    const struct code_range first = {code[0], code[1], go_on}, shown = {code[1], code[2], show};
    const struct code_range last = {code[2], code[3], go_on}, frames = {code[2], code[3], lead_to_frame};
    const struct code_range *const to_shown[] = {&first, &shown, NULL};
    const struct code_range *const through_shown[] = {&first, &shown, &last, NULL};
    const struct code_range *const to_frame[] = {&first, &shown, &frames, NULL};
    struct segue_regs regs;
    const void *frame;
    (void)state;
    assert_int_equal(translate(to_shown, code[0], &regs, &frame), CODE_RANGE_SHOWN);
    assert_int_equal(regs.rip, (uintptr_t)code[2]);
    /* What is left to do in the middle is left to do. */
    assert_int_equal(translate(through_shown, code[0], &regs, &frame), CODE_RANGE_SHOWN);
    assert_int_equal(regs.rip, (uintptr_t)code[3]);
    assert_int_equal(translate(to_frame, code[0], &regs, &frame), CODE_RANGE_FRAME);
    assert_int_equal((uintptr_t)frame, 0x1230);
}

static enum code_range_result stay(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    (void)frame;
    regs->rsp++;
    return CODE_RANGE_REGISTERS;
}

static void range_that_leads_to_itself_is_asked_four_times(void **state)
{
    const struct code_range range = {code[0], code[1], stay}, *const list[] = {&range, NULL};
    struct segue_regs regs;
    const void *frame;
    (void)state;
    assert_int_equal(translate(list, code[0], &regs, &frame), CODE_RANGE_REGISTERS);
    assert_int_equal(regs.rsp, 0x1234);
}

static void range_that_was_added_is_found_until_it_is_removed(void **state)
{
    const struct code_range range = {code[1], code[2], go_on};
    struct segue_regs regs;
    const void *frame;
    (void)state;
    assert_int_equal(translate(nothing, code[1], &regs, &frame), CODE_RANGE_NOT_FOUND);
    assert_true(code_range_add(&range));
    assert_int_equal(translate(nothing, code[1], &regs, &frame), CODE_RANGE_REGISTERS);
    code_range_remove(code[0]);
    assert_int_equal(translate(nothing, code[1], &regs, &frame), CODE_RANGE_REGISTERS);
    code_range_remove(code[1]);
    assert_int_equal(translate(nothing, code[1], &regs, &frame), CODE_RANGE_NOT_FOUND);
}

static void one_too_many_is_refused(void **state)
{
    static const char many[PLACES + 1][16];
    struct segue_regs regs;
    const void *frame;
    unsigned held = 0;
    (void)state;
    for (unsigned i = 0; i <= PLACES; i++) {
        const struct code_range range = {many[i], many[i] + sizeof many[i], go_on};
        held += code_range_add(&range);
    }
    assert_int_equal(held, PLACES);
    for (unsigned i = 0; i < PLACES; i++) {
        assert_int_equal(translate(nothing, many[i], &regs, &frame) != CODE_RANGE_NOT_FOUND, true);
        code_range_remove(many[i]);
    }
    assert_int_equal(translate(nothing, many[0], &regs, &frame), CODE_RANGE_NOT_FOUND);
}

/* ---- changes under readers ------------------------------------------------------------------------------------- */

#define ROUNDS 200000

static bool stop;
static char changing[2][3][16];

/* Two ranges of one thread, one at a time, in whatever place is free. */
static void *change(void *argument)
{
    const char(*mine)[16] = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const struct code_range range = {mine[i % 2], mine[i % 2 + 1], i % 2 ? show : go_on};
        if (!code_range_add(&range))
            return argument;
        code_range_remove(mine[i % 2]);
    }
    return NULL;
}

/* A range that is found is one that was added: its end is its own, and so is its answer. */
static void *ask_all_the_time(void *unused)
{
    uintptr_t wrong = 0;
    (void)unused;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        for (unsigned thread = 0; thread < 2; thread++)
            for (unsigned i = 0; i < 2; i++) {
                struct segue_regs regs;
                const void *frame;
                const char *end = changing[thread][i + 1];
                enum code_range_result result = translate(nothing, changing[thread][i], &regs, &frame);
                if (result == CODE_RANGE_NOT_FOUND)
                    continue;
                /* The first leads to the second, if that is there by then. */
                bool is_second = regs.rip == (uint64_t)(uintptr_t)changing[thread][2];
                wrong += (i == 1 || is_second) ? !is_second || result != CODE_RANGE_SHOWN
                                               : regs.rip != (uint64_t)(uintptr_t)end || result != CODE_RANGE_REGISTERS;
            }
    return (void *)wrong;
}

static void readers_find_a_range_whole_or_not_at_all(void **state)
{
    const struct code_range lasting = {code[1], code[2], go_on};
    pthread_t writers[2], reader;
    struct segue_regs regs;
    const void *frame;
    void *result;
    (void)state;
    assert_true(code_range_add(&lasting));
    assert_int_equal(pthread_create(&reader, NULL, ask_all_the_time, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, change, changing[i]), 0);
    for (unsigned i = 0; i < ROUNDS / 10; i++)
        assert_int_equal(translate(nothing, code[1], &regs, &frame), CODE_RANGE_REGISTERS);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(writers[i], &result);
        assert_null(result);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(reader, &result);
    assert_null(result);
    code_range_remove(code[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_is_asked_from_its_first_byte_to_its_last),
        cmocka_unit_test(range_that_refuses_leaves_it_to_the_next),
        cmocka_unit_test(range_that_leads_to_another_comes_to_what_that_one_does),
        cmocka_unit_test(range_that_leads_to_itself_is_asked_four_times),
        cmocka_unit_test(range_that_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(one_too_many_is_refused),
        cmocka_unit_test(readers_find_a_range_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
