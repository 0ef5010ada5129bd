/* contexts.c: contexts by the calling convention of Windows: arguments, results, callee-saved registers, the bounds of
 * the stack in use; exceptions, faults and suspensions on a context's stack. */
#if !defined(_WIN32) || !defined(__x86_64__)
#error "contexts.c is specific to Windows on x86-64"
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
    assert_int_equal((uintptr_t)__builtin_frame_address(0) % 8, 0);
    assert_int_equal(a, 250);
    assert_true(b == 1.5f && d == -2.25);
    assert_int_equal(c, 0xfedcba98);
    assert_int_equal(e, -5);
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
    assert_int_equal(segue_context_returned_integer(&other, 0), UINT64_C(0xaabbccdd11223344));
    run((void (*)(void))sum, list, sizeof list / sizeof *list);
    assert_true(segue_context_returned_double(&other, 0) == 31.5);
    assert_true(segue_context_returned_double(&other, 1) == 0);
}

/* ---- what a swap keeps ---- */

static void spoil(void *data)
{
    (void)data;
    for (;;) {
        __asm__ volatile("xorl %%ebx, %%ebx\n\txorl %%edi, %%edi\n\txorl %%esi, %%esi\n\txorl %%r12d, %%r12d\n\t"
                         "xorl %%r13d, %%r13d\n\txorl %%r14d, %%r14d\n\txorl %%r15d, %%r15d\n\t"
                         "pxor %%xmm6, %%xmm6\n\tpxor %%xmm10, %%xmm10\n\tpxor %%xmm15, %%xmm15"
                         :
                         :
                         : "rbx", "rdi", "rsi", "r12", "r13", "r14", "r15", "xmm6", "xmm10", "xmm15");
        segue_context_swap(&other, &own);
    }
}

static void swap_keeps_the_callee_saved_registers(void **state)
{
    static _Alignas(16) uint64_t vectors[3][2];
    uint64_t general[7], mxcsr = 0x3f80;
    (void)state;
    prepare(spoil, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        __asm__ volatile(
            "movq %[mark], %%rbx\n\tleaq 1(%%rbx), %%rdi\n\tleaq 2(%%rbx), %%rsi\n\tleaq 3(%%rbx), %%r12\n\t"
            "leaq 4(%%rbx), %%r13\n\tleaq 5(%%rbx), %%r14\n\tleaq 6(%%rbx), %%r15\n\t"
            "movq %%rbx, %%xmm6\n\tmovddup %%xmm6, %%xmm6\n\tmovdqa %%xmm6, %%xmm10\n\t"
            "movdqa %%xmm6, %%xmm15\n\tldmxcsr %[mxcsr]\n\t"
            "leaq %[own], %%rcx\n\tleaq %[other], %%rdx\n\tsubq $32, %%rsp\n\tcall segue_context_swap\n\t"
            "addq $32, %%rsp\n\tstmxcsr %[mxcsr]\n\t"
            "movdqa %%xmm6, %[vectors]\n\tmovdqa %%xmm10, 16+%[vectors]\n\tmovdqa %%xmm15, 32+%[vectors]\n\t"
            "movq %%rbx, %[general]\n\tmovq %%rdi, 8+%[general]\n\tmovq %%rsi, 16+%[general]\n\t"
            "movq %%r12, 24+%[general]\n\tmovq %%r13, 32+%[general]\n\tmovq %%r14, 40+%[general]\n\t"
            "movq %%r15, 48+%[general]"
            :
            [general] "=o"(general), [vectors] "=o"(vectors), [mxcsr] "+m"(mxcsr), [own] "+m"(own), [other] "+m"(other)
            : [mark] "r"(UINT64_C(0x5e60e00000000000) + i)
            : "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
              "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm10", "xmm15", "memory", "cc");
        for (unsigned k = 0; k < 7; k++)
            assert_int_equal(general[k], UINT64_C(0x5e60e00000000000) + i + k);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(vectors[k][1], general[0]);
        assert_int_equal(mxcsr & 0xffc0, 0x3f80);
    }
    __asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
    segue_stack_free(&stack);
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

static unsigned frames;
static bool ends;

/* From a function in the context to its first frame, by the data that the system has of each function. */
static __attribute__((noinline)) void walk(void *data)
{
    CONTEXT context;
    (void)data;
    RtlCaptureContext(&context);
    for (frames = 0; frames < 20 && context.Rip; frames++) {
        DWORD64 image, establisher;
        void *handler_data;
        RUNTIME_FUNCTION *function = RtlLookupFunctionEntry(context.Rip, &image, NULL);
        if (!function)
            break;
        RtlVirtualUnwind(UNW_FLAG_NHANDLER, image, context.Rip, function, &context, &handler_data, &establisher, NULL);
    }
    ends = context.Rip == 0;
    segue_context_swap(&other, &own);
}

static void walk_ends_at_the_first_frame(void **state)
{
    (void)state;
    prepare(walk, NULL);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(ends);
    assert_int_equal(frames, 2);
    segue_stack_free(&stack);
}

/* ---- faults in a context ---- */

static void access_the_region(void *data)
{
    volatile uint64_t *cell = data;
    for (;;) {
        __atomic_fetch_add(cell, 3, __ATOMIC_SEQ_CST);
        segue_context_swap(&other, &own);
    }
}

static void faults_in_a_context_are_served(void **state)
{
    volatile uint64_t *cell = begin(note);
    (void)state;
    prepare(access_the_region, (void *)(uintptr_t)cell);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_int_equal(*(uint64_t *)mapping.alias, 300);
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
        cmocka_unit_test(swap_keeps_the_callee_saved_registers),
        cmocka_unit_test(bounds_of_the_stack_change_with_it),
        cmocka_unit_test(walk_ends_at_the_first_frame),
        cmocka_unit_test(faults_in_a_context_are_served),
        cmocka_unit_test(stack_has_a_closed_page_below),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
