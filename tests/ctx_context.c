/* ctx_context.c: contexts. Arguments are checked twice: against the compiler (entries in C), and against the ABI as
 * written down here once more (an entry in assembly that dumps what it was given). */
#include <fenv.h>
#include <pthread.h>
#include <segue/ctx.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include <cmocka.h>

#define STACK_SIZE 65536
#define ENTRY(function) ((void (*)(void))(function))
#define COUNT(array) (sizeof(array) / sizeof *(array))

static _Alignas(16) char stack[STACK_SIZE], other_stack[STACK_SIZE];
static struct segue_context parent, child, other;

static enum segue_status init_with(void (*entry)(void), const struct segue_value *arguments, size_t count,
                                   const struct segue_context_options *options)
{
    return segue_context_init(&child, &parent, stack, sizeof stack, entry, arguments, count, options);
}

static void init(void (*entry)(void))
{
    assert_int_equal(init_with(entry, NULL, 0, NULL), SEGUE_OK);
}

static void go(void)
{
    assert_int_equal(segue_context_swap(&parent, &child), SEGUE_OK);
}

static int begin(void **state)
{
    (void)state;
    segue_context_destroy(&child);
    segue_context_destroy(&other);
    segue_context_create(&parent);
    return 0;
}

/* ---- calling ---- */

static uint64_t seen[64];

static void note_three(uint64_t a, uint64_t b, uint64_t c)
{
    seen[0] = a, seen[1] = b, seen[2] = c;
}

static void child_is_called_and_parent_goes_on(void **state)
{
    (void)state;
    struct segue_value arguments[] = {segue_value_u64(1), segue_value_u64(2), segue_value_u64(3)};
    assert_int_equal(init_with(ENTRY(note_three), arguments, 3, NULL), SEGUE_OK);
    assert_false(segue_context_is_finished(&child));
    go();
    assert_true(segue_context_is_finished(&child));
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[2], 3);
}

static void child_is_called_twice_when_initialized_twice(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        memset(seen, 0, sizeof seen);
        child_is_called_and_parent_goes_on(state);
    }
}

static void swap_back_twice(void)
{
    seen[0] = 1;
    segue_context_swap(&child, &parent);
    seen[0] = 2;
    segue_context_swap(&child, &parent);
    seen[0] = 3;
}

static void suspended_child_goes_on_where_it_was(void **state)
{
    (void)state;
    init(ENTRY(swap_back_twice));
    for (uint64_t i = 1; i <= 3; i++) {
        go();
        assert_int_equal(seen[0], i);
        assert_int_equal(segue_context_is_finished(&child), i == 3);
    }
}

static void set_parent(void)
{
    seen[0]++;
    segue_context_set(&parent);
}

static void child_may_set_its_parent_and_is_dropped(void **state)
{
    (void)state;
    seen[0] = 0;
    for (uint64_t i = 1; i <= 2; i++) {
        init(ENTRY(set_parent));
        go();
        assert_int_equal(seen[0], i);
        assert_false(segue_context_is_finished(&child));
    }
}

static void swap_to_a_finished_child_is_refused(void **state)
{
    (void)state;
    init(ENTRY(note_three));
    go();
    assert_int_equal(segue_context_swap(&parent, &child), SEGUE_INVALID);
    assert_int_equal(segue_context_swap(&parent, &child), SEGUE_INVALID);
}

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

static void call(void (*entry)(void), struct segue_value a, struct segue_value b)
{
    struct segue_value arguments[] = {a, b};
    assert_int_equal(init_with(entry, arguments, 2, NULL), SEGUE_OK);
    go();
}

static void results_are_kept_of_every_kind(void **state)
{
    (void)state;
    call(ENTRY(add_u32), segue_value_u32(0xffffffff), segue_value_u32(2));
    assert_int_equal((uint32_t)segue_context_returned_integer(&child, 0), 1);
    call(ENTRY(add_u64), segue_value_u64(UINT64_MAX), segue_value_u64(124));
    assert_int_equal(segue_context_returned_integer(&child, 0), 123);
    call(ENTRY(add_float), segue_value_float(1.5f), segue_value_float(2.25f));
    assert_true(segue_context_returned_float(&child, 0) == 3.75f);
    call(ENTRY(add_double), segue_value_double(1e300), segue_value_double(1));
    assert_true(segue_context_returned_double(&child, 0) == 1e300);
    call(ENTRY(swap_integers), segue_value_u64(7), segue_value_u64(8));
    assert_int_equal(segue_context_returned_integer(&child, 0), 8);
    assert_int_equal(segue_context_returned_integer(&child, 1), 7);
    assert_int_equal(segue_context_returned_integer(&child, 2), 0);
    call(ENTRY(swap_doubles), segue_value_double(7.5), segue_value_double(8.5));
    assert_true(segue_context_returned_double(&child, 0) == 8.5);
    assert_true(segue_context_returned_double(&child, 1) == 7.5);
    call(ENTRY(mix), segue_value_u64(9), segue_value_double(0.5));
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
    call(ENTRY(mix), segue_value_u64(9), segue_value_double(0.5));
    segue_context_clear_returned(&child);
    segue_context_returned(&child, &returned);
    assert_memory_equal(&returned, &zero, sizeof zero);
    call(ENTRY(mix), segue_value_u64(9), segue_value_double(0.5));
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

static struct segue_value random_value(void)
{
    uint64_t word = random_word();
    switch (random_word() % 13) {
    case 0:
        return segue_value_u8((uint8_t)word);
    case 1:
        return segue_value_u16((uint16_t)word);
    case 2:
        return segue_value_u32((uint32_t)word);
    case 3:
        return segue_value_i8((int8_t)word);
    case 4:
        return segue_value_i16((int16_t)word);
    case 5:
        return segue_value_i32((int32_t)word);
    case 6:
        return segue_value_i64((int64_t)word);
    case 7:
        return segue_value_bool(word & 1);
    case 8:
        return segue_value_pointer(&word);
    case 9:
        return segue_value_size(word);
    case 10:
        return segue_value_float((float)word);
    default:
        return segue_value_double((double)word);
    }
}

static void arguments_travel_as_the_abi_says_in_any_number_and_mix(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct segue_value arguments[100];
        size_t count = round % 101, integers = 0, vectors = 0, spilled = 0;
        for (size_t i = 0; i < count; i++)
            arguments[i] = random_value();
        assert_int_equal(init_with(dump_arguments, arguments, count, NULL), SEGUE_OK);
        go();
        assert_int_equal(given.rsp % 16, 8);
        for (size_t i = 0; i < count; i++) {
            bool is_integer = arguments[i].kind == SEGUE_VALUE_INTEGER;
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
    struct segue_value arguments[65];
    size_t count = 0;
    void *pointer = &count;
#define VALUES(n)                                                                                                      \
    (int8_t)(-5 - n), 1000.0 + n, 1u + (uint64_t)n, 2.0f * (float)n, (n & 1) != 0, pointer, (uint16_t)(65535 - n),     \
        -100000 * (n + 1)
#define ADD(n)                                                                                                         \
    arguments[count++] = segue_value_i8((int8_t)(-5 - n));                                                             \
    arguments[count++] = segue_value_double(1000.0 + n);                                                               \
    arguments[count++] = segue_value_u64(1u + (uint64_t)n);                                                            \
    arguments[count++] = segue_value_float(2.0f * (float)n);                                                           \
    arguments[count++] = segue_value_bool((n & 1) != 0);                                                               \
    arguments[count++] = segue_value_pointer(pointer);                                                                 \
    arguments[count++] = segue_value_u16((uint16_t)(65535 - n));                                                       \
    arguments[count++] = segue_value_i32(-100000 * (n + 1));
    ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6) ADD(7) arguments[count++] = segue_value_i32(-1);
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
    struct segue_value arguments[25] = {segue_value_i32(12)};
    for (int i = 0; i < 12; i++) {
        arguments[1 + 2 * i] = segue_value_double(i + 0.5);
        arguments[2 + 2 * i] = segue_value_i32(-i);
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
    struct segue_value many[100] = {segue_value_u64(1)};
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
    struct segue_value wrong = {(enum segue_value_kind)9, 0};
    struct segue_context_options options = {.flags = 0x80000000};
    assert_int_equal(segue_context_init(NULL, &parent, stack, 4096, ENTRY(note_three), NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(NULL, NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(ENTRY(note_three), NULL, 1, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(ENTRY(note_three), &wrong, 1, NULL), SEGUE_INVALID);
    assert_int_equal(init_with(ENTRY(note_three), NULL, 0, &options), SEGUE_INVALID);
    assert_int_equal(segue_context_returned(NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_context_set_from_signal(NULL, NULL), SEGUE_INVALID);
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

/* ---- callbacks, and beginning again ---- */

static void *callback_data;
static unsigned entered, left;

static void on_enter(struct segue_context *context, void *data)
{
    /* Whatever a callback does to the vector registers is no argument's. */
    __asm__ volatile("pxor %%xmm0, %%xmm0\npxor %%xmm7, %%xmm7\n" ::: "xmm0", "xmm7");
    assert_ptr_equal(context, &child);
    callback_data = data;
    entered++;
}

static void on_return(struct segue_context *context, void *data)
{
    assert_true(segue_context_returned_double(context, 0) == 4.25);
    assert_ptr_equal(data, callback_data);
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n" ::: "xmm0");
    left++;
}

static void callbacks_run_around_the_entry_with_their_data(void **state)
{
    (void)state;
    struct segue_value arguments[] = {segue_value_double(4), segue_value_double(0.25)};
    struct segue_context_options options = {.on_enter = on_enter, .on_return = on_return, .data = &entered};
    entered = left = 0;
    assert_int_equal(init_with(ENTRY(add_double), arguments, 2, &options), SEGUE_OK);
    assert_int_equal(entered, 0);
    go();
    assert_int_equal(entered, 1);
    assert_int_equal(left, 1);
    assert_ptr_equal(callback_data, &entered);
    assert_true(segue_context_returned_double(&child, 0) == 4.25);
}

static void init_again_forgets_callbacks_results_and_flags(void **state)
{
    callbacks_run_around_the_entry_with_their_data(state);
    init(ENTRY(note_three));
    go();
    assert_int_equal(entered, 1);
    assert_int_equal(left, 1);
}

/* ---- registers ---- */

static void change_rounding(void)
{
    assert_int_equal(fegetround(), FE_TONEAREST);
    fesetround(FE_UPWARD);
    segue_context_swap(&child, &parent);
    assert_int_equal(fegetround(), FE_UPWARD);
    fesetround(FE_TOWARDZERO);
}

static void control_words_are_each_contexts_own(void **state)
{
    (void)state;
    init(ENTRY(change_rounding));
    fesetround(FE_DOWNWARD);
    go();
    assert_int_equal(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
    go();
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_true(segue_context_is_finished(&child));
}

static void note_rounding(void)
{
    for (;;) {
        seen[0] = (uint64_t)fegetround();
        segue_context_swap(&child, &parent);
    }
}

static void fixed_control_runs_with_the_callers_and_leaves_it_alone(void **state)
{
    (void)state;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_FIXED_CONTROL};
    assert_int_equal(init_with(ENTRY(note_rounding), NULL, 0, &options), SEGUE_OK);
    fesetround(FE_UPWARD);
    go();
    assert_int_equal(seen[0], FE_UPWARD);
    fesetround(FE_DOWNWARD);
    go();
    assert_int_equal(seen[0], FE_DOWNWARD);
    assert_int_equal(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
}

static void keep_values_in_registers(struct segue_context *self, struct segue_context *back, uint64_t seed)
{
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13, g = seed * 17;
    double x = (double)seed, y = x * 2, z = x * 3;
    for (int i = 0; i < 1000; i++) {
        segue_context_swap(self, back);
        a += b, b ^= c, c -= d, d += e, e ^= f, f -= g, g += a, x += y, y -= z, z += 1;
    }
    seen[seed] = a + b + c + d + e + f + g + (uint64_t)(int64_t)(x + y + z);
}

static void values_survive_in_every_context(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct segue_context *context = i ? &other : &child;
        struct segue_value arguments[] = {segue_value_pointer(context), segue_value_pointer(&parent),
                                          segue_value_u64(5)};
        assert_int_equal(segue_context_init(context, &parent, i ? other_stack : stack, STACK_SIZE,
                                            ENTRY(keep_values_in_registers), arguments, 3, NULL),
                         SEGUE_OK);
        uint64_t first = seen[5];
        seen[5] = 0;
        while (!segue_context_is_finished(context))
            assert_int_equal(segue_context_swap(&parent, context), SEGUE_OK);
        assert_int_not_equal(seen[5], 0);
        if (i)
            assert_int_equal(seen[5], first);
    }
}

static void walk_frame_pointers(void)
{
    const uint64_t *frame = __builtin_frame_address(0);
    unsigned steps = 0;
    while (frame && frame[0] && steps < 100)
        frame = (const uint64_t *)(uintptr_t)frame[0], steps++;
    seen[0] = steps;
    seen[1] = frame ? frame[1] : 1;
}

static void frame_pointers_end_in_zero(void **state)
{
    (void)state;
    init(ENTRY(walk_frame_pointers));
    go();
    assert_in_range(seen[0], 1, 2);
    assert_int_equal(seen[1], 0);
}

/* ---- the signal mask ---- */

static bool is_blocked(int number)
{
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, number);
}

static void note_mask_and_block(void)
{
    seen[0] = is_blocked(SIGUSR1);
    seen[1] = is_blocked(SIGUSR2);
    sigset_t more;
    sigemptyset(&more);
    sigaddset(&more, SIGHUP);
    sigprocmask(SIG_BLOCK, &more, NULL);
    segue_context_swap(&child, &parent);
    seen[2] = is_blocked(SIGHUP);
}

static void own_mask_is_kept_on_both_sides(void **state)
{
    (void)state;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    sigset_t mask, none;
    sigemptyset(&none);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    options.mask = &mask;
    memset(seen, 0, sizeof seen);
    assert_int_equal(init_with(ENTRY(note_mask_and_block), NULL, 0, &options), SEGUE_OK);
    go();
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 0);
    assert_false(is_blocked(SIGUSR1));
    assert_false(is_blocked(SIGHUP));
    go();
    assert_int_equal(seen[2], 1);
    assert_false(is_blocked(SIGHUP));
}

static void own_mask_begins_as_the_one_in_force(void **state)
{
    (void)state;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, &before);
    assert_int_equal(init_with(ENTRY(note_mask_and_block), NULL, 0, &options), SEGUE_OK);
    sigprocmask(SIG_SETMASK, &before, NULL);
    go();
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 1);
    assert_false(is_blocked(SIGUSR2));
}

static void swap_without_mask_makes_no_system_call(void **state)
{
    (void)state;
    init(ENTRY(note_rounding));
    pid_t process = fork();
    if (process == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            syscall(SYS_exit, 2);
        for (int i = 0; i < 1000; i++)
            segue_context_swap(&parent, &child);
        syscall(SYS_exit, 0);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- signals ---- */

static _Alignas(16) char signal_stack[65536];
static void *handled_address;

static void set_parent_from_handler(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    handled_address = info->si_addr;
    segue_context_set_from_signal(&parent, ucontext);
}

static void handle(int number, struct sigaction *before)
{
    struct sigaction action = {.sa_sigaction = set_parent_from_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    sigaltstack(&alternate, NULL);
    sigaction(number, &action, before);
}

__attribute__((noinline)) static uint64_t recurse(uint64_t depth)
{
    volatile char bytes[256];
    bytes[0] = (char)depth;
    return depth == UINT64_MAX ? 0 : recurse(depth + 1) + (uint64_t)bytes[0];
}

static void child_that_overflows_its_stack_is_left_by_its_handler(void **state)
{
    (void)state;
    struct sigaction before;
    struct segue_stack made;
    struct segue_value zero = segue_value_u64(0);
    handle(SIGSEGV, &before);
    assert_int_equal(segue_stack_new(STACK_SIZE, &made), SEGUE_OK);
    for (int i = 0; i < 3; i++) {
        handled_address = NULL;
        assert_int_equal(segue_context_init(&child, &parent, made.base, made.size, ENTRY(recurse), &zero, 1, NULL),
                         SEGUE_OK);
        go();
        assert_in_range((uint64_t)(uintptr_t)made.base - (uint64_t)(uintptr_t)handled_address, 1, 4096);
        assert_false(is_blocked(SIGSEGV));
    }
    segue_context_destroy(&child);
    segue_stack_free(&made);
    sigaction(SIGSEGV, &before, NULL);
}

static void fault_with_odd_state(void)
{
    /* DF set, all of the x87 stack in use, MXCSR rounding up, a red zone's worth of garbage. */
    fesetround(FE_UPWARD);
    __asm__ volatile("fld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nfld1\nstd\nmovl $0, 0\n" ::: "memory");
}

static void set_from_signal_leaves_no_trace_of_what_was_interrupted(void **state)
{
    (void)state;
    struct sigaction before;
    handle(SIGSEGV, &before);
    init(ENTRY(fault_with_odd_state));
    go();
    uint64_t flags;
    uint16_t environment[14];
    __asm__ volatile("pushfq\npopq %0" : "=r"(flags));
    __asm__ volatile("fnstenv %0\nfldenv %0" : "+m"(environment));
    assert_false(flags & 0x400);
    assert_int_equal(environment[4], 0xffff);
    assert_int_equal(fegetround(), FE_TONEAREST);
    sigaction(SIGSEGV, &before, NULL);
}

static void raise_user_signal(void)
{
    raise(SIGUSR1);
    seen[0] = 1;
}

static void set_from_signal_puts_back_an_own_mask_by_the_return(void **state)
{
    (void)state;
    struct sigaction before;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_OWN_MASK};
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGUSR1);
    options.mask = &all;
    handle(SIGUSR1, &before);
    seen[0] = 0;
    assert_int_equal(init_with(ENTRY(raise_user_signal), NULL, 0, &options), SEGUE_OK);
    go();
    assert_int_equal(seen[0], 0);
    assert_false(is_blocked(SIGUSR2));
    assert_false(is_blocked(SIGUSR1));
    sigaction(SIGUSR1, &before, NULL);
}

/* ---- what runs inside ---- */

static void allocate_and_grow(void)
{
    char *text = malloc(16);
    for (size_t size = 16; size < 1 << 20; size *= 2)
        text = realloc(text, size);
    strcpy(text, "kept");
    seen[0] = strcmp(text, "kept") == 0;
    free(text);
}

static void child_may_allocate(void **state)
{
    (void)state;
    init(ENTRY(allocate_and_grow));
    go();
    assert_int_equal(seen[0], 1);
}

static __thread uint64_t of_this_thread = 5;

static void touch_thread_local(void)
{
    seen[0] = of_this_thread;
    of_this_thread = 6;
}

static void child_sees_the_threads_variables(void **state)
{
    (void)state;
    of_this_thread = 5;
    init(ENTRY(touch_thread_local));
    go();
    assert_int_equal(seen[0], 5);
    assert_int_equal(of_this_thread, 6);
}

static void jump_inside(void)
{
    jmp_buf place;
    volatile int jumps = 0;
    if (setjmp(place) < 3)
        longjmp(place, ++jumps);
    seen[0] = (uint64_t)jumps;
}

static void longjmp_works_inside_a_context(void **state)
{
    (void)state;
    init(ENTRY(jump_inside));
    go();
    assert_int_equal(seen[0], 3);
}

__attribute__((noinline)) static uint64_t thread_variable(void)
{
    return of_this_thread;
}

static void note_thread_variable(struct segue_context *self, uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        seen[i] = thread_variable();
        segue_context_swap(self, self->parent);
    }
}

static void *resume_on_this_thread(void *context)
{
    struct segue_context here = {.flags = 0};
    of_this_thread = 77;
    segue_context_swap(&here, context);
    return NULL;
}

static void context_is_resumed_on_another_thread(void **state)
{
    (void)state;
    struct segue_value arguments[] = {segue_value_pointer(&child), segue_value_u64(4)};
    of_this_thread = 1;
    assert_int_equal(init_with(ENTRY(note_thread_variable), arguments, 2, NULL), SEGUE_OK);
    go();
    for (unsigned i = 0; i < 2; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, resume_on_this_thread, &child), 0);
        pthread_join(thread, NULL);
    }
    go();
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 77);
    assert_int_equal(seen[2], 77);
    assert_int_equal(seen[3], 1);
}

static void swap_to_other(void)
{
    seen[0]++;
    segue_context_swap(&child, &other);
    seen[0] += 100;
}

static void note_ten(void)
{
    seen[0] += 10;
}

static void entry_returns_to_whoever_swapped_last(void **state)
{
    (void)state;
    seen[0] = 0;
    init(ENTRY(swap_to_other));
    assert_int_equal(
        segue_context_init(&other, &parent, other_stack, sizeof other_stack, ENTRY(note_ten), NULL, 0, NULL), SEGUE_OK);
    go();
    assert_int_equal(seen[0], 111);
    assert_true(segue_context_is_finished(&other));
    assert_true(segue_context_is_finished(&child));
}

/* ---- misuse ---- */

static void swap_and_return(void)
{
    segue_context_swap(&child, &parent);
}

static void checked_context_refuses_to_be_moved(void **state)
{
    (void)state;
    struct segue_context_options options = {.flags = SEGUE_CONTEXT_CHECKED};
    assert_int_equal(init_with(ENTRY(swap_and_return), NULL, 0, &options), SEGUE_OK);
    go();
    struct segue_context moved = child;
    assert_int_equal(segue_context_swap(&parent, &moved), SEGUE_INVALID);
    assert_int_equal(segue_context_swap(&child, &child), SEGUE_INVALID);
    /* It is not the child that runs here. */
    assert_int_equal(segue_context_swap(&child, &parent), SEGUE_INVALID);
    go();
    assert_true(segue_context_is_finished(&child));
}

static void swap_to_an_empty_context_is_refused_when_checked(void **state)
{
    (void)state;
    struct segue_context empty = {.flags = 0}, from = {.flags = SEGUE_CONTEXT_CHECKED};
    assert_int_equal(segue_context_swap(&from, &empty), SEGUE_INVALID);
}

/* Runs `body` in a child process and returns the signal that ended it, or 0. */
static int signal_of(void (*body)(void))
{
    pid_t process = fork();
    if (process == 0) {
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void nothing(void)
{
}

static void set_a_child_without_parent(void)
{
    segue_context_init(&child, NULL, stack, sizeof stack, nothing, NULL, 0, NULL);
    segue_context_set(&child);
}

static void set_an_empty_context(void)
{
    static struct segue_context empty;
    segue_context_set(&empty);
}

static void return_to_nobody_traps(void **state)
{
    (void)state;
    assert_int_equal(signal_of(set_a_child_without_parent), SIGILL);
    assert_int_equal(signal_of(set_an_empty_context), SIGILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(child_is_called_and_parent_goes_on, begin),
        cmocka_unit_test_setup(child_is_called_twice_when_initialized_twice, begin),
        cmocka_unit_test_setup(suspended_child_goes_on_where_it_was, begin),
        cmocka_unit_test_setup(child_may_set_its_parent_and_is_dropped, begin),
        cmocka_unit_test_setup(swap_to_a_finished_child_is_refused, begin),
        cmocka_unit_test_setup(results_are_kept_of_every_kind, begin),
        cmocka_unit_test_setup(results_are_zero_before_and_when_cleared, begin),
        cmocka_unit_test_setup(arguments_travel_as_the_abi_says_in_any_number_and_mix, begin),
        cmocka_unit_test_setup(sixty_four_mixed_arguments_reach_a_compiled_function, begin),
        cmocka_unit_test_setup(variadic_entry_finds_its_arguments, begin),
        cmocka_unit_test_setup(bad_stacks_are_errors, begin),
        cmocka_unit_test_setup(bad_arguments_are_errors, begin),
        cmocka_unit_test_setup(new_stack_has_a_guard_page_and_a_high_water_mark, begin),
        cmocka_unit_test_setup(callbacks_run_around_the_entry_with_their_data, begin),
        cmocka_unit_test_setup(init_again_forgets_callbacks_results_and_flags, begin),
        cmocka_unit_test_setup(control_words_are_each_contexts_own, begin),
        cmocka_unit_test_setup(fixed_control_runs_with_the_callers_and_leaves_it_alone, begin),
        cmocka_unit_test_setup(values_survive_in_every_context, begin),
        cmocka_unit_test_setup(frame_pointers_end_in_zero, begin),
        cmocka_unit_test_setup(own_mask_is_kept_on_both_sides, begin),
        cmocka_unit_test_setup(own_mask_begins_as_the_one_in_force, begin),
        cmocka_unit_test_setup(swap_without_mask_makes_no_system_call, begin),
        cmocka_unit_test_setup(child_that_overflows_its_stack_is_left_by_its_handler, begin),
        cmocka_unit_test_setup(set_from_signal_leaves_no_trace_of_what_was_interrupted, begin),
        cmocka_unit_test_setup(set_from_signal_puts_back_an_own_mask_by_the_return, begin),
        cmocka_unit_test_setup(child_may_allocate, begin),
        cmocka_unit_test_setup(child_sees_the_threads_variables, begin),
        cmocka_unit_test_setup(longjmp_works_inside_a_context, begin),
        cmocka_unit_test_setup(context_is_resumed_on_another_thread, begin),
        cmocka_unit_test_setup(entry_returns_to_whoever_swapped_last, begin),
        cmocka_unit_test_setup(checked_context_refuses_to_be_moved, begin),
        cmocka_unit_test_setup(swap_to_an_empty_context_is_refused_when_checked, begin),
        cmocka_unit_test_setup(return_to_nobody_traps, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
