/* ctx_arguments.c: what a context is begun with and what it leaves: arguments, results, stacks. Arguments are checked
 * twice: against the compiler (entries in C), and against the ABI as written down here once more (an entry in assembly
 * that dumps what it was given). */
#include <segue/posix.h>
#include <unistd.h>

#include "ctx_context.h"

/* ---- returning ---- */

static uint32_t add_u32(uint32_t a, uint32_t b)
{
    return a + b;
}

static uint64_t add_u64(uint64_t a, uint64_t b)
{
    return a + b;
}

static float add_float(float a, float b)
{
    return a + b;
}

static double add_double(double a, double b)
{
    return a + b;
}

struct two_integers {
    uint64_t first, second;
};

static struct two_integers swap_integers(uint64_t a, uint64_t b)
{
    return (struct two_integers){b, a};
}

struct two_doubles {
    double first, second;
};

static struct two_doubles swap_doubles(double a, double b)
{
    return (struct two_doubles){b, a};
}

struct mixed {
    double first;
    uint64_t second;
};

static struct mixed mix(uint64_t a, double b)
{
    return (struct mixed){b, a};
}

static void call(void (*entry)(void), struct segue_argument a, struct segue_argument b)
{
    struct segue_argument arguments[] = {a, b};
    assert_int_equal(init_with(entry, arguments, 2, NULL), SEGUE_OK);
    go();
}

static void results_are_kept_of_every_kind(void **state)
{
    (void)state;
    call(ENTRY(add_u32), segue_argument_u32(0xffffffff), segue_argument_u32(2));
    assert_int_equal((uint32_t)segue_context_returned_integer(&child, 0), 1);
    call(ENTRY(add_u64), segue_argument_u64(UINT64_MAX), segue_argument_u64(124));
    assert_int_equal(segue_context_returned_integer(&child, 0), 123);
    call(ENTRY(add_float), segue_argument_float(1.5f), segue_argument_float(2.25f));
    assert_true(segue_context_returned_float(&child, 0) == 3.75f);
    call(ENTRY(add_double), segue_argument_double(1e300), segue_argument_double(1));
    assert_true(segue_context_returned_double(&child, 0) == 1e300);
    call(ENTRY(swap_integers), segue_argument_u64(7), segue_argument_u64(8));
    assert_int_equal(segue_context_returned_integer(&child, 0), 8);
    assert_int_equal(segue_context_returned_integer(&child, 1), 7);
    assert_int_equal(segue_context_returned_integer(&child, 2), 0);
    call(ENTRY(swap_doubles), segue_argument_double(7.5), segue_argument_double(8.5));
    assert_true(segue_context_returned_double(&child, 0) == 8.5);
    assert_true(segue_context_returned_double(&child, 1) == 7.5);
    call(ENTRY(mix), segue_argument_u64(9), segue_argument_double(0.5));
    struct segue_returned returned;
    assert_int_equal(segue_context_returned(&child, &returned), SEGUE_OK);
    assert_int_equal(returned.rax, 9);
    double first;
    memcpy(&first, returned.xmm0, sizeof first);
    assert_true(first == 0.5);
}

static void results_are_zero_before_and_when_cleared(void **state)
{
    (void)state;
    static const struct segue_returned zero;
    struct segue_returned returned;
    call(ENTRY(mix), segue_argument_u64(9), segue_argument_double(0.5));
    segue_context_clear_returned(&child);
    segue_context_returned(&child, &returned);
    assert_memory_equal(&returned, &zero, sizeof zero);
    call(ENTRY(mix), segue_argument_u64(9), segue_argument_double(0.5));
    init(ENTRY(note_three));
    segue_context_returned(&child, &returned);
    assert_memory_equal(&returned, &zero, sizeof zero);
}

/* ---- arguments ---- */

/* What an entry was given: rdi rsi rdx rcx r8 r9, xmm0..7, rax, rsp; dumped by assembly. */
static struct {
    uint64_t integers[6];
    uint64_t vectors[8];
    uint64_t rax, rsp;
} given __attribute__((used));
void dump_arguments(void);
__asm__(
    ".text\n.type dump_arguments, @function\ndump_arguments:\nendbr64\n"
    "movq %rdi, given(%rip)\nmovq %rsi, 8+given(%rip)\nmovq %rdx, 16+given(%rip)\nmovq %rcx, 24+given(%rip)\n"
    "movq %r8, 32+given(%rip)\nmovq %r9, 40+given(%rip)\n"
    "movq %xmm0, 48+given(%rip)\nmovq %xmm1, 56+given(%rip)\nmovq %xmm2, 64+given(%rip)\nmovq %xmm3, 72+given(%rip)\n"
    "movq %xmm4, 80+given(%rip)\nmovq %xmm5, 88+given(%rip)\nmovq %xmm6, 96+given(%rip)\nmovq %xmm7, 104+given(%rip)\n"
    "movq %rax, 112+given(%rip)\nmovq %rsp, 120+given(%rip)\nret\n.size dump_arguments, . - dump_arguments\n");

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static struct segue_argument random_value(void)
{
    uint64_t word = random_word();
    switch (random_word() % 13) {
    case 0:
        return segue_argument_u8((uint8_t)word);
    case 1:
        return segue_argument_u16((uint16_t)word);
    case 2:
        return segue_argument_u32((uint32_t)word);
    case 3:
        return segue_argument_i8((int8_t)word);
    case 4:
        return segue_argument_i16((int16_t)word);
    case 5:
        return segue_argument_i32((int32_t)word);
    case 6:
        return segue_argument_i64((int64_t)word);
    case 7:
        return segue_argument_bool(word & 1);
    case 8:
        return segue_argument_pointer(&word);
    case 9:
        return segue_argument_size(word);
    case 10:
        return segue_argument_float((float)word);
    default:
        return segue_argument_double((double)word);
    }
}

static void arguments_travel_as_the_abi_says_in_any_number_and_mix(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct segue_argument arguments[100];
        size_t count = round % 101, integers = 0, vectors = 0, spilled = 0;
        for (size_t i = 0; i < count; i++)
            arguments[i] = random_value();
        assert_int_equal(init_with(dump_arguments, arguments, count, NULL), SEGUE_OK);
        go();
        assert_int_equal(given.rsp % 16, 8);
        for (size_t i = 0; i < count; i++) {
            bool is_integer = arguments[i].kind == SEGUE_ARGUMENT_INTEGER;
            uint64_t there;
            if (is_integer && integers < 6)
                there = given.integers[integers++];
            else if (!is_integer && vectors < 8)
                there = given.vectors[vectors++];
            else
                there = ((uint64_t *)(uintptr_t)given.rsp)[1 + spilled++];
            assert_int_equal(there, arguments[i].bits);
        }
        assert_int_equal(given.rax & 0xff, vectors);
    }
}

#define MANY(X, n)                                                                                                     \
    X(int8_t, a##n)                                                                                                    \
    X(double, b##n) X(uint64_t, c##n) X(float, d##n) X(bool, e##n) X(void *, f##n) X(uint16_t, g##n) X(int32_t, h##n)
#define ALL(X) MANY(X, 0) MANY(X, 1) MANY(X, 2) MANY(X, 3) MANY(X, 4) MANY(X, 5) MANY(X, 6) MANY(X, 7)
#define PARAMETER(type, name) type name,
#define SUM_OF(type, name) total = total * 0.75 + (double)(intptr_t)(name);

static double take_sixty_four(ALL(PARAMETER) int last)
{
    double total = last;
    ALL(SUM_OF)
    return total;
}

static void sixty_four_mixed_arguments_reach_a_compiled_function(void **state)
{
    (void)state;
    struct segue_argument arguments[65];
    size_t count = 0;
    void *pointer = &count;
#define VALUES(n)                                                                                                      \
    (int8_t)(-5 - n), 1000.0 + n, 1u + (uint64_t)n, 2.0f * (float)n, (n & 1) != 0, pointer, (uint16_t)(65535 - n),     \
        -100000 * (n + 1)
#define ADD(n)                                                                                                         \
    arguments[count++] = segue_argument_i8((int8_t)(-5 - n));                                                          \
    arguments[count++] = segue_argument_double(1000.0 + n);                                                            \
    arguments[count++] = segue_argument_u64(1u + (uint64_t)n);                                                         \
    arguments[count++] = segue_argument_float(2.0f * (float)n);                                                        \
    arguments[count++] = segue_argument_bool((n & 1) != 0);                                                            \
    arguments[count++] = segue_argument_pointer(pointer);                                                              \
    arguments[count++] = segue_argument_u16((uint16_t)(65535 - n));                                                    \
    arguments[count++] = segue_argument_i32(-100000 * (n + 1));
    ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6) ADD(7) arguments[count++] = segue_argument_i32(-1);
    double wanted =
        take_sixty_four(VALUES(0), VALUES(1), VALUES(2), VALUES(3), VALUES(4), VALUES(5), VALUES(6), VALUES(7), -1);
    assert_int_equal(init_with(ENTRY(take_sixty_four), arguments, count, NULL), SEGUE_OK);
    go();
    assert_true(segue_context_returned_double(&child, 0) == wanted);
}

static double sum_variadic(int count, ...)
{
    va_list list;
    va_start(list, count);
    double total = 0;
    for (int i = 0; i < count; i++)
        total = total * 3 + va_arg(list, double) + va_arg(list, int);
    va_end(list);
    return total;
}

static void variadic_entry_finds_its_arguments(void **state)
{
    (void)state;
    struct segue_argument arguments[25] = {segue_argument_i32(12)};
    for (int i = 0; i < 12; i++) {
        arguments[1 + 2 * i] = segue_argument_double(i + 0.5);
        arguments[2 + 2 * i] = segue_argument_i32(-i);
    }
    assert_int_equal(init_with(ENTRY(sum_variadic), arguments, 25, NULL), SEGUE_OK);
    go();
    double wanted = 0;
    for (int i = 0; i < 12; i++)
        wanted = wanted * 3 + (i + 0.5) - i;
    assert_true(segue_context_returned_double(&child, 0) == wanted);
}

/* ---- stacks ---- */

static void bad_stacks_are_errors(void **state)
{
    (void)state;
    struct segue_argument many[100] = {segue_argument_u64(1)};
    void (*entry)(void) = ENTRY(note_three);
    assert_int_equal(segue_context_init(&child, &parent, NULL, 4096, entry, NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(segue_context_init(&child, &parent, stack, 0, entry, NULL, 0, NULL), SEGUE_INVALID);
    for (size_t off = 1; off < 16; off++)
        assert_int_equal(segue_context_init(&child, &parent, stack, 4096 + off, entry, NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(segue_context_init(&child, &parent, stack + 1, 4095, entry, NULL, 0, NULL), SEGUE_OK);
    for (size_t size = 16; size < SEGUE_CONTEXT_STACK_MIN; size += 16)
        assert_int_equal(segue_context_init(&child, &parent, stack, size, entry, NULL, 0, NULL), SEGUE_TOO_SMALL);
    assert_int_equal(segue_context_init(&child, &parent, stack, 1264, entry, NULL, 0, NULL), SEGUE_OK);
    assert_int_equal(segue_context_init(&child, &parent, stack, 1264, entry, many, 100, NULL), SEGUE_TOO_SMALL);
    assert_int_equal(segue_context_init(&child, &parent, (void *)(UINTPTR_MAX - 15), 64, entry, NULL, 0, NULL),
                     SEGUE_INVALID);
}

static void bad_arguments_are_errors(void **state)
{
    (void)state;
    struct segue_argument wrong = {.kind = (enum segue_argument_kind)9};
    struct segue_context_options options = {.flags = 0x80000000};
    assert_int_equal(segue_context_init(NULL, &parent, stack, 4096, ENTRY(note_three), NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(NULL, NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(ENTRY(note_three), NULL, 1, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(ENTRY(note_three), &wrong, 1, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(ENTRY(note_three), NULL, 0, &options), SEGUE_INVALID);
    assert_int_equal(segue_context_returned(NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_frame_set_context(NULL, NULL), SEGUE_INVALID);
}

static void use_twenty_thousand_bytes(void)
{
    volatile char bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 1;
}

static void new_stack_has_a_guard_page_and_a_high_water_mark(void **state)
{
    (void)state;
    struct segue_stack made;
    assert_int_equal(segue_stack_new(0, &made), SEGUE_INVALID);
    assert_int_equal(segue_stack_new(SIZE_MAX, &made), SEGUE_INVALID);
    assert_int_equal(segue_stack_new((size_t)1 << 62, &made), SEGUE_NO_MEMORY);
    assert_int_equal(segue_stack_new(100001, &made), SEGUE_OK);
    assert_int_equal(made.size, 102400);
    assert_int_equal(segue_stack_high_water(&made), 0);
    assert_int_equal(
        segue_context_init(&child, &parent, made.base, made.size, ENTRY(use_twenty_thousand_bytes), NULL, 0, NULL),
        SEGUE_OK);
    size_t before = segue_stack_high_water(&made);
    assert_in_range(before, 1, 256);
    go();
    assert_in_range(segue_stack_high_water(&made), 20000, 24000);
    /* The page below is closed: the kernel refuses to write to it. */
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(read(pair[0], (char *)made.base - 1, 1), -1);
    close(pair[0]);
    close(pair[1]);
    segue_context_destroy(&child);
    assert_int_equal(segue_stack_free(&made), SEGUE_OK);
    assert_null(made.base);
    assert_int_equal(segue_stack_free(NULL), SEGUE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(results_are_kept_of_every_kind, begin),
        cmocka_unit_test_setup(results_are_zero_before_and_when_cleared, begin),
        cmocka_unit_test_setup(arguments_travel_as_the_abi_says_in_any_number_and_mix, begin),
        cmocka_unit_test_setup(sixty_four_mixed_arguments_reach_a_compiled_function, begin),
        cmocka_unit_test_setup(variadic_entry_finds_its_arguments, begin),
        cmocka_unit_test_setup(bad_stacks_are_errors, begin),
        cmocka_unit_test_setup(bad_arguments_are_errors, begin),
        cmocka_unit_test_setup(new_stack_has_a_guard_page_and_a_high_water_mark, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
