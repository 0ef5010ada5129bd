/* ctx_context.c: contexts: who goes on when, what a swap keeps, what may run inside, and what is refused. */
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctx_context.h"

/* ---- calling ---- */

static void child_is_called_and_parent_goes_on(void **state)
{
    (void)state;
    struct segue_argument arguments[] = {segue_argument_u64(1), segue_argument_u64(2), segue_argument_u64(3)};
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

/* The swap that other languages call. */
enum segue_status exported_swap(struct segue_context *from, struct segue_context *to) __asm__("segue_context_swap");

static void exported_swap_does_what_the_inline_one_does(void **state)
{
    (void)state;
    init(ENTRY(swap_back_twice));
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(exported_swap(&parent, &child), SEGUE_OK);
        assert_int_equal(seen[0], i);
    }
    assert_true(segue_context_is_finished(&child));
    assert_int_equal(exported_swap(&parent, &child), SEGUE_INVALID);
}

static void add_one(void *number)
{
    ++*(int *)number;
}

static void made_context_calls_its_entry_with_the_data_on_the_whole_stack(void **state)
{
    (void)state;
    struct segue_stack own;
    int number = 41;
    assert_int_equal(segue_stack_new(65536, &own), SEGUE_OK);
    assert_int_equal(segue_context_make(&child, &own, add_one, &number), SEGUE_OK);
    assert_in_range(child.stack_pointer, (uintptr_t)own.base + own.size - 1024, (uintptr_t)own.base + own.size);
    go();
    assert_int_equal(number, 42);
    assert_true(segue_context_is_finished(&child));
    assert_int_equal(segue_context_make(&child, NULL, add_one, &number), SEGUE_INVALID);
    assert_int_equal(segue_context_make(&child, &own, NULL, &number), SEGUE_INVALID);
    segue_context_destroy(&child);
    segue_stack_free(&own);
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

/* ---- callbacks, and beginning again ---- */

static double add_double(double a, double b)
{
    return a + b;
}

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
    struct segue_argument arguments[] = {segue_argument_double(4), segue_argument_double(0.25)};
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

/* Rounding, flush to zero, denormals are zero, and the exceptions' masks except those that would trap on what the
 * flags say already; in the x87's word, rounding and precision. The exception flags are kept, too. */
#define CONTROL_BITS 0xe040u
#define ALL_MASKED 0x1f80u
#define EXCEPTION_FLAGS 0x3fu
#define FLOWS 3
#define SWAPS 20000

static struct segue_context flows[FLOWS];
static uint32_t control_now, random_state;
static unsigned wrong_controls, running;

static uint32_t next_random(void)
{
    return (random_state = random_state * 1664525u + 1013904223u) >> 8;
}

static void load_controls(uint32_t mxcsr, uint16_t x87)
{
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
}

static void check_controls(uint32_t mxcsr, uint16_t x87)
{
    uint16_t x87_now;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(control_now), "=m"(x87_now));
    wrong_controls += control_now != mxcsr || x87_now != x87;
}

/* Each flow swaps to a random other one; now and then it changes its words. */
static void keep_swapping(void)
{
    unsigned self = running;
    uint32_t mxcsr = ALL_MASKED, random = 0;
    uint16_t x87 = 0x37f;
    for (;;) {
        if (random % 4 == 0) {
            mxcsr = ALL_MASKED | (next_random() & CONTROL_BITS);
            x87 = (uint16_t)(0x7f | (next_random() & 0xf00));
        }
        if (random % 3 == 0)
            mxcsr = (mxcsr & ~EXCEPTION_FLAGS) | (next_random() & EXCEPTION_FLAGS);
        load_controls(mxcsr, x87);
        random = next_random();
        running = (self + 1 + random / 8 % (FLOWS - 1)) % FLOWS;
        if (left++ == SWAPS) {
            left = 0;
            segue_context_swap(&flows[self], &parent);
        } else {
            segue_context_swap(&flows[self], &flows[running]);
        }
        check_controls(mxcsr, x87);
    }
}

/* As on processors of one kind, and as on those of the other. */
static void swap_at_random(bool compared)
{
    static _Alignas(16) char stacks[FLOWS][STACK_SIZE];
    wrong_controls = running = 0;
    left = 0;
    for (unsigned i = 0; i < FLOWS; i++) {
        assert_int_equal(
            segue_context_init(&flows[i], &parent, stacks[i], STACK_SIZE, ENTRY(keep_swapping), NULL, 0, NULL),
            SEGUE_OK);
        flows[i].flags &= ~SEGUE_CONTEXT_COMPARED_;
        flows[i].flags |= compared ? SEGUE_CONTEXT_COMPARED_ : 0;
    }
    load_controls(ALL_MASKED | 0x2000, 0x77f);
    segue_context_swap(&parent, &flows[0]);
    check_controls(ALL_MASKED | 0x2000, 0x77f);
    load_controls(ALL_MASKED, 0x37f);
    assert_int_equal(wrong_controls, 0);
}

static void random_control_words_are_kept_on_every_processor(void **state)
{
    (void)state;
    swap_at_random(false);
    swap_at_random(true);
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
        struct segue_argument arguments[] = {segue_argument_pointer(context), segue_argument_pointer(&parent),
                                             segue_argument_u64(5)};
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
    const uintptr_t *frame = __builtin_frame_address(0);
    unsigned steps = 0;
    while (frame && frame[0] && steps < 100)
        frame = (const uintptr_t *)frame[0], steps++;
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
    struct segue_argument arguments[] = {segue_argument_pointer(&child), segue_argument_u64(4)};
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

/* ---- who goes on ---- */

#define TRADERS 5
#define TRADES 20000

static struct segue_context traders[TRADERS], home;
static char trader_stacks[TRADERS][16384] __attribute__((aligned(16)));
/* Who runs, 0 for home, and who swapped to whom last. */
static int trader_now, last_to[TRADERS + 1];
static unsigned trades, wrong_returns;

static struct segue_context *trader(int number)
{
    return number ? &traders[number - 1] : &home;
}

static void trade_with(int to)
{
    int self = trader_now;
    last_to[to] = self;
    trader_now = to;
    if (segue_context_swap(trader(self), trader(to)) != SEGUE_OK) {
        wrong_returns++;
        trader_now = self;
    }
}

static bool may_go_on(int number)
{
    return number == 0 || !segue_context_is_finished(trader(number));
}

/* The one that returned is noted by its callback: its parent must be who swapped to it last. */
static void trade(void)
{
    for (;;) {
        int self = trader_now, to = (int)(next_random() % (TRADERS + 1));
        if (trades++ > TRADES)
            to = 0;
        /* Not where it would go on with a context that has finished, which is impossible. */
        if (next_random() % 50 == 0 && may_go_on(last_to[self]))
            return;
        if (to != self && may_go_on(to))
            trade_with(to);
        if (trader_now != self)
            wrong_returns++;
    }
}

static void note_return(struct segue_context *context, void *data)
{
    (void)data;
    trader_now = last_to[context - traders + 1];
}

static void the_one_who_swapped_last_goes_on_over_many_trades(void **state)
{
    struct segue_context_options options = {.on_return = note_return};
    (void)state;
    trades = wrong_returns = 0;
    trader_now = 0;
    for (unsigned rounds = 0; trades <= TRADES; rounds++) {
        for (int i = 1; i <= TRADERS; i++) {
            assert_int_equal(segue_context_init(trader(i), &home, trader_stacks[i - 1], sizeof trader_stacks[0],
                                                ENTRY(trade), NULL, 0, &options),
                             SEGUE_OK);
            last_to[i] = 0;
        }
        for (unsigned i = 0; i < 200; i++) {
            int to = 1 + (int)(next_random() % TRADERS);
            if (may_go_on(to))
                trade_with(to);
            assert_int_equal(trader_now, 0);
        }
    }
    assert_int_equal(wrong_returns, 0);
}

static struct segue_context first, second, main_flow;
static char order[8];

static void note_order(char what)
{
    order[strlen(order)] = what;
}

static void be_first(void)
{
    note_order('1');
    segue_context_swap(&first, &second);
    note_order('x');
}

static void be_second(void)
{
    note_order('2');
    segue_context_swap(&second, &main_flow);
    note_order('3');
}

/* main, first, second, main, second: when that returns, main goes on, which swapped to it last. */
static void a_flow_that_was_yielded_to_is_the_parent_when_it_swaps_back(void **state)
{
    (void)state;
    memset(order, 0, sizeof order);
    assert_int_equal(segue_context_init(&first, &main_flow, stack, sizeof stack, be_first, NULL, 0, NULL), SEGUE_OK);
    assert_int_equal(segue_context_init(&second, &main_flow, other_stack, sizeof other_stack, be_second, NULL, 0, NULL),
                     SEGUE_OK);
    segue_context_swap(&main_flow, &first);
    note_order('m');
    segue_context_swap(&main_flow, &second);
    assert_string_equal(order, "12m3");
    assert_true(segue_context_is_finished(&second));
    assert_false(segue_context_is_finished(&first));
}

static void nothing(void)
{
}

static void set_a_child_without_parent(void)
{
    assert_int_equal(segue_context_init(&child, NULL, stack, sizeof stack, nothing, NULL, 0, NULL), SEGUE_OK);
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
        cmocka_unit_test_setup(made_context_calls_its_entry_with_the_data_on_the_whole_stack, begin),
        cmocka_unit_test_setup(exported_swap_does_what_the_inline_one_does, begin),
        cmocka_unit_test_setup(child_may_set_its_parent_and_is_dropped, begin),
        cmocka_unit_test_setup(swap_to_a_finished_child_is_refused, begin),
        cmocka_unit_test_setup(callbacks_run_around_the_entry_with_their_data, begin),
        cmocka_unit_test_setup(init_again_forgets_callbacks_results_and_flags, begin),
        cmocka_unit_test_setup(control_words_are_each_contexts_own, begin),
        cmocka_unit_test_setup(random_control_words_are_kept_on_every_processor, begin),
        cmocka_unit_test_setup(fixed_control_runs_with_the_callers_and_leaves_it_alone, begin),
        cmocka_unit_test_setup(values_survive_in_every_context, begin),
        cmocka_unit_test_setup(frame_pointers_end_in_zero, begin),
        cmocka_unit_test_setup(child_may_allocate, begin),
        cmocka_unit_test_setup(child_sees_the_threads_variables, begin),
        cmocka_unit_test_setup(longjmp_works_inside_a_context, begin),
        cmocka_unit_test_setup(context_is_resumed_on_another_thread, begin),
        cmocka_unit_test_setup(entry_returns_to_whoever_swapped_last, begin),
        cmocka_unit_test_setup(the_one_who_swapped_last_goes_on_over_many_trades, begin),
        cmocka_unit_test_setup(a_flow_that_was_yielded_to_is_the_parent_when_it_swaps_back, begin),
        cmocka_unit_test_setup(checked_context_refuses_to_be_moved, begin),
        cmocka_unit_test_setup(swap_to_an_empty_context_is_refused_when_checked, begin),
        cmocka_unit_test_setup(return_to_nobody_traps, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
