/* contexts.c: contexts by the calling conventions of Windows: arguments, results, the bounds of the stack in use;
 * faults on a context's stack. */
#if !defined(_WIN32)
#error "tests/platform/windows/contexts.c is specific to Windows"
#endif

#include "fixture.h"

#include <stdarg.h>

#define STACK_SIZE 65536

static struct segue_context own, other;
static struct segue_stack stack;

static void prepare(void (*entry)(void *data), void *data)
{
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(segue_context_make(&other, &stack, entry, data), SEGUE_OK);
}

/* ---- arguments and results ---- */

static uint64_t take_all(uint8_t a, float b, uint32_t c, double d, int64_t e, float f, double g, const void *h)
{
    assert_int_equal((uintptr_t)__builtin_frame_address(0) % sizeof(void *), 0);
    assert_int_equal(a, 250);
    assert_true(b == 1.5f && d == -2.25);
    assert_int_equal(c, 0xfedcba98);
    assert_true(e == -5);
    assert_true(f == 0.125f && g == 6.5);
    assert_ptr_equal(h, &own);
    return UINT64_C(0xaabbccdd11223344);
}

static double sum(int count, ...)
{
    double total = 0;
    va_list list;
    va_start(list, count);
    for (int i = 0; i < count; i++)
        total += va_arg(list, double);
    va_end(list);
    return total;
}

static void run(void (*entry)(void), const struct segue_argument *arguments, size_t count)
{
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(segue_context_init(&other, NULL, stack.base, stack.size, entry, arguments, count, NULL), SEGUE_OK);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(segue_context_is_finished(&other));
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_INVALID);
    segue_stack_free(&stack);
}

static void arguments_have_their_places(void **state)
{
    const struct segue_argument arguments[] = {
        segue_argument_u8(250),       segue_argument_float(1.5f),   segue_argument_u32(0xfedcba98),
        segue_argument_double(-2.25), segue_argument_i64(-5),       segue_argument_float(0.125f),
        segue_argument_double(6.5),   segue_argument_pointer(&own),
    };
    const struct segue_argument list[] = {
        segue_argument_i32(5),    segue_argument_double(1), segue_argument_double(2),
        segue_argument_double(4), segue_argument_double(8), segue_argument_double(16.5),
    };
    (void)state;
    run((void (*)(void))take_all, arguments, sizeof arguments / sizeof *arguments);
    /* In 32-bit code in two registers. */
    uint64_t value = segue_context_returned_integer(&other, 0);
    if (sizeof(void *) == 4)
        value |= segue_context_returned_integer(&other, 1) << 32;
    assert_true(value == UINT64_C(0xaabbccdd11223344));
    run((void (*)(void))sum, list, sizeof list / sizeof *list);
    assert_true(segue_context_returned_double(&other, 0) == 31.5);
    assert_true(segue_context_returned_double(&other, 1) == 0);
}

/* ---- the system's own idea of the stack ---- */

static ULONG_PTR low, high;

static void ask_for_the_bounds(void *data)
{
    (void)data;
    GetCurrentThreadStackLimits(&low, &high);
    segue_context_swap(&other, &own);
}

static void bounds_of_the_stack_change_with_it(void **state)
{
    ULONG_PTR own_low, own_high, after_low, after_high;
    (void)state;
    GetCurrentThreadStackLimits(&own_low, &own_high);
    prepare(ask_for_the_bounds, NULL);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_int_equal(low, (uintptr_t)stack.base);
    assert_int_equal(high, (uintptr_t)stack.base + stack.size);
    GetCurrentThreadStackLimits(&after_low, &after_high);
    assert_int_equal(after_low, own_low);
    assert_int_equal(after_high, own_high);
    segue_stack_free(&stack);
}

static bool ends;

/* ---- faults in a context ---- */

static void access_the_region(void *data)
{
    volatile uint32_t *cell = data;
    for (;;) {
        __atomic_fetch_add(cell, 3, __ATOMIC_SEQ_CST);
        segue_context_swap(&other, &own);
    }
}

static void faults_in_a_context_are_served(void **state)
{
    volatile uint32_t *cell = begin(note);
    (void)state;
    prepare(access_the_region, (void *)(uintptr_t)cell);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_int_equal(*(uint32_t *)mapping.alias, 300);
    assert_true(shown.rsp - (uintptr_t)stack.base < stack.size);
    segue_stack_free(&stack);
    end();
}

/* The context's stack has no room: its lowest page is closed. */
static void overflow(void *data)
{
    struct segue_trial trial;
    volatile char *at = data;
    if (segue_try(&trial) == 0) {
        at[-1] = 1;
        segue_try_end(&trial);
    } else {
        ends = trial.fault.address == (uintptr_t)at - 1;
    }
    segue_context_swap(&other, &own);
}

static void stack_has_a_closed_page_below(void **state)
{
    (void)state;
    begin(note);
    ends = false;
    assert_int_equal(segue_stack_new(STACK_SIZE, &stack), SEGUE_OK);
    assert_int_equal(segue_context_make(&other, &stack, overflow, stack.base), SEGUE_OK);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(ends);
    segue_stack_free(&stack);
    end();
}

static void mistakes_are_named(void **state)
{
    static _Alignas(16) char memory[STACK_SIZE];
    (void)state;
    assert_int_equal(
        segue_context_init(&other, NULL, memory, sizeof memory - 8, (void (*)(void))mistakes_are_named, NULL, 0, NULL),
        SEGUE_INVALID);
    assert_string_equal(segue_reason(), "the stack's end is not a multiple of 16");
    const struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_EXCEPTIONS};
    assert_int_equal(
        segue_context_init(&other, NULL, memory, sizeof memory, (void (*)(void))mistakes_are_named, NULL, 0, &options),
        SEGUE_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_have_their_places),
        cmocka_unit_test(bounds_of_the_stack_change_with_it),
        cmocka_unit_test(faults_in_a_context_are_served),
        cmocka_unit_test(stack_has_a_closed_page_below),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
