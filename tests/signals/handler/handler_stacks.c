/* handler_stacks.c: which stack a fault is served on, how much of it is used, and that it goes with its thread. */
#include "tests/support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "handler_fixture.h"
#include "signals/threads/thread.h"

static void fault_with_no_stack_left_is_stepped(void **state)
{
    uint64_t value;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    __asm__ volatile("movq %%rsp, %%r12\n"
                     "movl $8, %%esp\n"
                     "movq 64(%1), %0\n"
                     "movq %%r12, %%rsp"
                     : "=&r"(value)
                     : "r"(page_of(0))
                     : "r12", "memory");
    assert_int_equal(value, 64);
}

static void own_stack_is_used_where_asked(void **state)
{
    struct segue_options options = {.flags = SEGUE_INSTALL_OWN_STACK};
    stack_t stack;
    (void)state;
    assert_int_equal(segue_install(&options), SEGUE_OK);
    sigaltstack(NULL, &stack);
    assert_int_equal(stack.ss_flags, SS_DISABLE);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(load(page_of(0) + 8), 8);
}

static void attached_stack_is_large_enough_and_guarded(void **state)
{
    stack_t stack;
    unsigned char resident;
    char byte;
    (void)state;
    assert_int_equal(segue_thread_attach(), SEGUE_NOT_FOUND);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_thread_attach(), SEGUE_EXISTS);
    sigaltstack(NULL, &stack);
    assert_int_equal(stack.ss_flags, 0);
    assert_true(stack.ss_size >= getauxval(51) + 65536);
    assert_int_equal(mincore((char *)stack.ss_sp - PAGE, PAGE, &resident), 0);
    assert_int_equal(segue_peek(&byte, (uint64_t)stack.ss_sp - 1, 1), 0);
    assert_int_equal(segue_peek(&byte, (uint64_t)stack.ss_sp, 1), 1);
    assert_int_equal(segue_thread_detach(), SEGUE_OK);
    assert_int_equal(segue_thread_detach(), SEGUE_NOT_FOUND);
    sigaltstack(NULL, &stack);
    assert_int_equal(stack.ss_flags, SS_DISABLE);
}

/* How much of the alternate stack has ever been written to. */
static size_t stack_used(const stack_t *stack)
{
    const char *bottom = stack->ss_sp;
    size_t untouched = 0;
    while (untouched < stack->ss_size && bottom[untouched] == 0x55)
        untouched++;
    return stack->ss_size - untouched;
}

/* A sanitizer's frames are larger, and what the policy calls comes on top. */
static void deepest_way_keeps_to_its_share_of_the_stack(void **state)
{
    stack_t stack;
    struct notes notes = {.verdict = SEGUE_STEP};
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    sigaltstack(NULL, &stack);
    memset(stack.ss_sp, 0x55, stack.ss_size);
    assert_int_equal(add(1, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(add(2, 1, NULL, NULL), SEGUE_OK);
    load(page_of(2) - 3);
    store(page_of(2) - 3, 1);
    assert_int_equal(add(0, 1, take_notes, &notes), SEGUE_OK);
    notes.open = true;
    notes.verdict = SEGUE_RETRY;
    load_segment(page_of(0));
    size_t used = stack_used(&stack);
#if defined(__SANITIZE_ADDRESS__)
    assert_true(used < stack.ss_size);
#else
    assert_in_range(used, frame_size_most() / 2, segue_handler_stack() + 1024);
#endif
}

/* The policy of each page loads from the next. */
static unsigned deepest_policy;

static enum segue_verdict load_next(void *context, const struct segue_event *event)
{
    size_t page = (size_t)(uintptr_t)context;
    (void)event;
    deepest_policy = page > deepest_policy ? (unsigned)page : deepest_policy;
    if (page + 1 < FIXTURE_PAGES)
        load(page_of(page + 1) + 8);
    return SEGUE_STEP;
}

static void faults_one_inside_the_other_fit_the_smallest_stack(void **state)
{
    struct segue_options options = {.policy_stack_size = 4096};
    stack_t stack;
    (void)state;
    deepest_policy = 0;
    assert_int_equal(segue_install(&options), SEGUE_OK);
    sigaltstack(NULL, &stack);
    assert_in_range(stack.ss_size, thread_stack_need() + 4096, thread_stack_need() + 2 * 4096);
    memset(stack.ss_sp, 0x55, stack.ss_size);
    for (size_t i = 0; i < FIXTURE_PAGES; i++)
        assert_int_equal(add(i, 1, load_next, (void *)(uintptr_t)i), SEGUE_OK);
    assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(deepest_policy, THREAD_DEPTH - 1);
    assert_true(stack_used(&stack) < stack.ss_size);
#if !defined(__SANITIZE_ADDRESS__)
    assert_true(stack_used(&stack) < thread_stack_need());
#endif
}

static void large_stack_that_a_thread_has_is_kept(void **state)
{
    stack_t own = {.ss_sp = malloc(1 << 20), .ss_size = 1 << 20}, now, none = {.ss_flags = SS_DISABLE};
    (void)state;
    sigaltstack(&own, NULL);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    sigaltstack(NULL, &now);
    assert_ptr_equal(now.ss_sp, own.ss_sp);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaltstack(NULL, &now);
    assert_ptr_equal(now.ss_sp, own.ss_sp);
    sigaltstack(&none, NULL);
    free(own.ss_sp);
}

static void *attach_and_load(void *unused)
{
    (void)unused;
    if (segue_thread_attach() != SEGUE_OK || load(page_of(0) + 8) != 8)
        abort();
    return NULL;
}

static size_t mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void thread_that_ends_gives_its_stack_back(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    size_t before = 0;
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, attach_and_load, NULL);
        pthread_join(thread, NULL);
        if (i == 10)
            before = mappings();
    }
    assert_true(mappings() <= before + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(fault_with_no_stack_left_is_stepped),
        FIXTURE_TEST(own_stack_is_used_where_asked),
        FIXTURE_TEST(attached_stack_is_large_enough_and_guarded),
        FIXTURE_TEST(deepest_way_keeps_to_its_share_of_the_stack),
        FIXTURE_TEST(faults_one_inside_the_other_fit_the_smallest_stack),
        FIXTURE_TEST(large_stack_that_a_thread_has_is_kept),
        FIXTURE_TEST(thread_that_ends_gives_its_stack_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
