/* ctx_lucet.c: what Lucet's tests of contexts ask for beyond ctx_context.c, ctx_arguments.c and ctx_signals.c: depth,
 * threads, and handlers, many times over. */
#include <pthread.h>
#include <segue/posix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "ctx_context.h"

/* ---- depth ---- */

#define DEPTH 64

static struct segue_context nested[DEPTH + 1];
static _Alignas(16) char nested_stacks[DEPTH][8192];
static unsigned deepest;

static uint64_t go_deeper(uint64_t depth)
{
    if (depth > deepest)
        deepest = (unsigned)depth;
    if (depth == DEPTH)
        return 1;
    struct segue_argument argument = segue_argument_u64(depth + 1);
    assert_int_equal(segue_context_init(&nested[depth + 1], &nested[depth], nested_stacks[depth],
                                        sizeof nested_stacks[0], ENTRY(go_deeper), &argument, 1, NULL),
                     SEGUE_OK);
    assert_int_equal(segue_context_swap(&nested[depth], &nested[depth + 1]), SEGUE_OK);
    return segue_context_returned_integer(&nested[depth + 1], 0) + 1;
}

static void contexts_nest_sixty_four_deep(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        deepest = 0;
        assert_int_equal(go_deeper(0), DEPTH + 1);
        assert_int_equal(deepest, DEPTH);
    }
}

/* ---- callbacks and parents ---- */

static void swap_in_callback(struct segue_context *context, void *data)
{
    seen[*(uint64_t *)data]++;
    segue_context_swap(context, &parent);
    seen[*(uint64_t *)data]++;
}

static void callback_may_swap_itself(void **state)
{
    uint64_t place = 7;
    struct segue_context_options options = {
        .on_enter = swap_in_callback, .on_return = swap_in_callback, .data = &place};
    struct segue_argument arguments[] = {segue_argument_u64(1), segue_argument_u64(2), segue_argument_u64(3)};
    (void)state;
    assert_int_equal(init_with(ENTRY(note_three), arguments, 3, &options), SEGUE_OK);
    go();
    assert_int_equal(seen[7], 1);
    assert_int_equal(seen[0], 0);
    go();
    assert_int_equal(seen[7], 3);
    assert_int_equal(seen[2], 3);
    assert_false(segue_context_is_finished(&child));
    go();
    assert_int_equal(seen[7], 4);
    assert_true(segue_context_is_finished(&child));
}

/* No swap goes to the child, and so the parent of its beginning goes on. */
static void set_other(void)
{
    seen[0]++;
    segue_context_set(&other);
}

static void parent_of_init_goes_on_when_nobody_swapped(void **state)
{
    struct segue_argument arguments[] = {segue_argument_u64(1), segue_argument_u64(2), segue_argument_u64(3)};
    (void)state;
    for (unsigned i = 1; i < 20; i++) {
        init(ENTRY(set_other));
        assert_int_equal(
            segue_context_init(&other, &parent, other_stack, sizeof other_stack, ENTRY(note_three), arguments, 3, NULL),
            SEGUE_OK);
        seen[0] = 0;
        go();
        assert_true(segue_context_is_finished(&other));
        assert_int_equal(seen[0], 1);
        assert_int_equal(seen[1], 2);
    }
}

static void the_least_stack_is_enough(void **state)
{
    struct segue_argument arguments[] = {segue_argument_u64(1), segue_argument_u64(2), segue_argument_u64(3)};
    size_t least = 16;
    (void)state;
    while (segue_context_init(&child, &parent, stack + 4096, least, ENTRY(note_three), arguments, 3, NULL) != SEGUE_OK)
        least += 16;
    assert_in_range(least, SEGUE_CONTEXT_STACK_MIN, SEGUE_CONTEXT_STACK_MIN + 512);
    memset(stack, 0x5a, 4096);
    go();
    assert_int_equal(seen[2], 3);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(stack[i], 0x5a);
}

/* ---- handlers ---- */

#define SWAPS 300000

static struct segue_context interrupted, in_handler;
static volatile unsigned handled, wrong;

static void run_in_handler(void)
{
    for (;;) {
        handled++;
        segue_context_swap(&in_handler, &interrupted);
    }
}

static void swap_in_handler(int number)
{
    (void)number;
    segue_context_swap(&interrupted, &in_handler);
}

static void count_swaps(void)
{
    for (uint64_t i = 1;; i++) {
        seen[1] = i;
        segue_context_swap(&child, &parent);
        wrong += seen[1] != i;
    }
}

static void handlers_that_swap_interrupt_swaps_anywhere(void **state)
{
    struct itimerval often = {{0, 97}, {0, 97}}, off = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = swap_in_handler, .sa_flags = SA_RESTART};
    (void)state;
    handled = wrong = 0;
    assert_int_equal(
        segue_context_init(&in_handler, NULL, other_stack, sizeof other_stack, run_in_handler, NULL, 0, NULL),
        SEGUE_OK);
    init(ENTRY(count_swaps));
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (uint64_t i = 1; i <= SWAPS || handled < 100; i++) {
        go();
        wrong += seen[1] != i;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    signal(SIGALRM, SIG_IGN);
    assert_int_equal(wrong, 0);
}

static char *closed_stack;

static void close_stack_and_leave(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    handled++;
    mprotect(closed_stack, STACK_SIZE, PROT_NONE);
    struct segue_frame frame;
    segue_frame_open(&frame, info, ucontext);
    segue_frame_set_context(&frame, &parent);
}

static volatile char *volatile closed_page = (volatile char *)8;

static void fault(void)
{
    *closed_page = 1;
}

/* The way out touches nothing of the stack that it leaves. */
static void stack_may_be_closed_before_its_flow_is_left(void **state)
{
    static char alternate[65536];
    stack_t alternate_stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_sigaction = close_stack_and_leave, .sa_flags = SA_SIGINFO | SA_ONSTACK}, before;
    sigset_t mask, after;
    (void)state;
    sigaltstack(&alternate_stack, NULL);
    sigaction(SIGSEGV, &action, &before);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    closed_stack = mmap(NULL, STACK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handled = 0;
    for (unsigned i = 1; i <= 200; i++) {
        mprotect(closed_stack, STACK_SIZE, PROT_READ | PROT_WRITE);
        assert_int_equal(segue_context_init(&child, &parent, closed_stack, STACK_SIZE, fault, NULL, 0, NULL), SEGUE_OK);
        go();
        assert_int_equal(handled, i);
        sigprocmask(SIG_BLOCK, NULL, &after);
        assert_memory_equal(&mask, &after, 8);
    }
    sigaction(SIGSEGV, &before, NULL);
    munmap(closed_stack, STACK_SIZE);
}

/* ---- threads ---- */

#define THREADS 11
#define FLOWS 8

static struct segue_context flows[FLOWS];
static _Alignas(16) char flow_stacks[FLOWS][16384];
static pthread_mutex_t locks[FLOWS];
static unsigned steps_of[FLOWS];
static __thread struct segue_context here;

/* Nor may the compiler find out that it gives the same each time: on another thread it does not. */
__attribute__((noinline)) static struct segue_context *threads_own(void)
{
    __asm__ volatile("");
    return &here;
}

static void step_for_ever(uint64_t number)
{
    volatile uint64_t kept = number * 77;
    for (;;) {
        steps_of[number]++;
        segue_context_swap(&flows[number], threads_own());
        if (kept != number * 77)
            abort();
    }
}

static void *go_on_with_any(void *unused)
{
    unsigned steps = 0;
    (void)unused;
    for (unsigned i = 0; steps < 2000; i++) {
        unsigned number = (unsigned)((uintptr_t)&here / 4096 + i * 5) % FLOWS;
        if (pthread_mutex_trylock(&locks[number]) != 0)
            continue;
        segue_context_swap(threads_own(), &flows[number]);
        steps++;
        pthread_mutex_unlock(&locks[number]);
    }
    return NULL;
}

static void contexts_go_from_thread_to_thread(void **state)
{
    pthread_t threads[THREADS];
    unsigned sum = 0;
    (void)state;
    for (unsigned i = 0; i < FLOWS; i++) {
        struct segue_argument argument = segue_argument_u64(i);
        pthread_mutex_init(&locks[i], NULL);
        assert_int_equal(segue_context_init(&flows[i], NULL, flow_stacks[i], sizeof flow_stacks[0],
                                            ENTRY(step_for_ever), &argument, 1, NULL),
                         SEGUE_OK);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, go_on_with_any, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < FLOWS; i++)
        sum += steps_of[i];
    assert_int_equal(sum, THREADS * 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(contexts_nest_sixty_four_deep, begin),
        cmocka_unit_test_setup(callback_may_swap_itself, begin),
        cmocka_unit_test_setup(parent_of_init_goes_on_when_nobody_swapped, begin),
        cmocka_unit_test_setup(the_least_stack_is_enough, begin),
        cmocka_unit_test_setup(handlers_that_swap_interrupt_swaps_anywhere, begin),
        cmocka_unit_test_setup(stack_may_be_closed_before_its_flow_is_left, begin),
        cmocka_unit_test_setup(contexts_go_from_thread_to_thread, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
