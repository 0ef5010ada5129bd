/* removed.c: a region is removed while a fault is being looked into that has met it. A suspension has the fault look a
 * second time, after the removal has begun: so the order is the same in every run. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define LONG UINT64_C(20000000000)

static struct segue_mapping first, second;
static struct segue_counters before, after;

/* What the policy of `first` waits for at its first question and at its second, and whether it is at them. */
static volatile int is_at_question[2], may_answer[2];
static volatile unsigned questions;
static volatile segue_thread_id thread_in_fault;
static volatile int is_removed;

static void await(volatile int *flag)
{
    while (!*flag)
        sched_yield();
}

static enum segue_verdict answer_when_asked_to(void *context, const struct segue_event *event)
{
    (void)context;
    questions++;
    thread_in_fault = event->thread;
    if (event->question < 2) {
        is_at_question[event->question] = 1;
        await(&may_answer[event->question]);
    }
    return SEGUE_STEP;
}

static void close_region(const struct segue_mapping *mapping, segue_policy *policy)
{
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)mapping->memory,
                                             .size = mapping->size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping->alias},
                                  .policy = policy};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(mapping->memory, mapping->size, PROT_NONE), 0);
}

static void *remove_region(void *base)
{
    enum segue_status status = segue_region_remove(base);
    is_removed = 1;
    return (void *)(uintptr_t)status;
}

static void *move_word(void *unused)
{
    const void *from = first.memory;
    void *to = second.memory;
    __asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
    return unused;
}

/* The fault has met both regions. Another thread takes one of them out, and waits for the fault; then the thread is
 * suspended, so that all is looked at again. Returns as it is asked for the second time. */
static pthread_t remove_between_two_looks(pthread_t *faulting, const struct segue_mapping *removed)
{
    struct segue_suspension suspension;
    struct segue_region present;
    pthread_t remover;
    close_region(&first, answer_when_asked_to);
    close_region(&second, NULL);
    *(uint64_t *)first.alias = 7;
    segue_counters_read(&before);
    assert_int_equal(pthread_create(faulting, NULL, move_word, NULL), 0);
    await(&is_at_question[0]);
    assert_int_equal(pthread_create(&remover, NULL, remove_region, removed->memory), 0);
    while (segue_region_find(removed->memory, &present) != SEGUE_NOT_FOUND)
        sched_yield();
    suspension.thread = thread_in_fault;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    assert_false(is_removed);
    may_answer[0] = 1;
    await(&is_at_question[1]);
    return remover;
}

static void join_remover(pthread_t remover)
{
    void *status;
    pthread_join(remover, &status);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
}

/* The region that the fault came from counts until the fault is over. */
static void faulted_region_that_is_removed_meanwhile_is_stepped_in(void **state)
{
    pthread_t faulting;
    (void)state;
    pthread_t remover = remove_between_two_looks(&faulting, &first);
    assert_false(is_removed);
    may_answer[1] = 1;
    pthread_join(faulting, NULL);
    join_remover(remover);
    segue_counters_read(&after);
    assert_int_equal(questions, 2);
    assert_int_equal(*(uint64_t *)second.alias, 7);
    assert_int_equal(after.stepped - before.stepped, 1);
    assert_int_equal(after.retried - before.retried, 0);
    assert_int_equal(after.refused - before.refused, 0);
}

/* Another region's page is taken for open memory then, and another region may have closed it since: the instruction
 * runs again, and finds that one. */
static void instruction_that_counted_on_a_removed_region_runs_again(void **state)
{
    pthread_t faulting;
    (void)state;
    pthread_t remover = remove_between_two_looks(&faulting, &second);
    join_remover(remover);
    close_region(&second, NULL);
    may_answer[1] = 1;
    pthread_join(faulting, NULL);
    segue_counters_read(&after);
    assert_int_equal(questions, 3);
    assert_int_equal(*(uint64_t *)second.alias, 7);
    assert_int_equal(after.stepped - before.stepped, 1);
    assert_int_equal(after.retried - before.retried, 1);
    assert_int_equal(after.refused - before.refused, 0);
}

static void run(void **state)
{
    void (*body)(void **) = (void (*)(void **))(uintptr_t)*state;
    alarm(100);
    questions = 0;
    is_at_question[0] = is_at_question[1] = may_answer[0] = may_answer[1] = is_removed = 0;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &first), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &second), SEGUE_OK);
    body(NULL);
    segue_region_remove(first.memory);
    segue_region_remove(second.memory);
    assert_int_equal(segue_mapping_destroy(&first), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&second), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"faulted_region_that_is_removed_meanwhile_is_stepped_in", run, NULL, NULL,
         (void *)(uintptr_t)faulted_region_that_is_removed_meanwhile_is_stepped_in},
        {"instruction_that_counted_on_a_removed_region_runs_again", run, NULL, NULL,
         (void *)(uintptr_t)instruction_that_counted_on_a_removed_region_runs_again},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
