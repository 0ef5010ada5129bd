/* suspend.c: threads suspended wherever they are, many at once, in bounded time, and what becomes of those that do not
 * answer. No test measures a time; a test that hangs is ended by its alarm. */
#include "suspend_fixture.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 60

/* ---- wherever they are ---------------------------------------------------------------------------------------- */

static void *sleep_often(void *argument)
{
    announce(argument);
    while (goes_on(argument))
        usleep(500);
    return NULL;
}

static void *read_pipe(void *argument)
{
    struct worker *worker = argument;
    uint64_t byte = 0;
    announce(worker);
    ssize_t got = read(worker->pipe[0], &byte, 1);
    return got == 1 ? (void *)(uintptr_t)byte : NULL;
}

static void many_are_suspended_at_once_and_stand_still(void **state)
{
    static void *(*const kinds[])(void *) = {spin, sleep_often, add_to_closed_page};
    static struct worker workers[MANY];
    static struct segue_suspension list[MANY];
    uint64_t before[MANY];
    (void)state;
    fixture_begin(NULL);
    for (size_t i = 0; i < MANY; i++)
        start(&workers[i], kinds[i % 3]);
    for (unsigned round = 0; round < 8; round++) {
        for (size_t i = 0; i < MANY; i++)
            list[i].thread = workers[i].number;
        assert_int_equal(segue_threads_suspend(list, MANY, LONG), SEGUE_OK);
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(list[i].status, SEGUE_OK);
            assert_int_equal(segue_mutator_sp(&list[i].context), list[i].context.regs.rsp);
            before[i] = rounds_of(&workers[i]);
        }
        uint64_t added = *(volatile uint64_t *)closed.alias;
        /* Whoever suspends may fault, whatever the others are in the middle of. */
        assert_int_equal(*(volatile uint64_t *)closed.memory, added);
        usleep(2000);
        for (size_t i = 0; i < MANY; i++)
            assert_int_equal(rounds_of(&workers[i]), before[i]);
        assert_int_equal(*(volatile uint64_t *)closed.alias, added);
        assert_int_equal(segue_threads_resume(list, MANY), SEGUE_OK);
        assert_int_equal(segue_threads_resume(list, MANY), SEGUE_NOT_FOUND);
        wait_for_round(&workers[round]);
    }
    fixture_end(workers, MANY);
    uint64_t steps = 0;
    for (size_t i = 2; i < MANY; i += 3)
        steps += workers[i].rounds - 1;
    assert_int_equal(*(uint64_t *)closed.alias, steps);
}

static void system_call_goes_on_after_the_resumption(void **state)
{
    struct worker worker = {.rounds = 0};
    struct segue_suspension suspension;
    void *result;
    (void)state;
    fixture_begin(NULL);
    assert_int_equal(pipe(worker.pipe), 0);
    start(&worker, read_pipe);
    usleep(2000);
    suspension.thread = worker.number;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    }
    assert_int_equal(write(worker.pipe[1], "x", 1), 1);
    pthread_join(worker.thread, &result);
    assert_int_equal((uintptr_t)result, 'x');
    close(worker.pipe[0]);
    close(worker.pipe[1]);
    fixture_end(NULL, 0);
}

/* As a collector does that is called by a barrier: it stops the others from inside a fault. */
static struct worker *others;
static volatile enum segue_status status_in_policy;

static enum segue_verdict stop_others(void *context, const struct segue_event *event)
{
    struct segue_suspension list[2] = {{.thread = others[0].number}, {.thread = others[1].number}};
    (void)context;
    for (unsigned i = 0; i < 2; i++)
        if (list[i].thread == event->thread)
            return SEGUE_STEP;
    status_in_policy = segue_threads_suspend(list, 2, LONG);
    return segue_threads_resume(list, 2) == SEGUE_OK ? SEGUE_STEP : SEGUE_PASS;
}

static void policy_may_suspend_threads_that_fault_themselves(void **state)
{
    struct worker workers[2] = {{.rounds = 0}};
    (void)state;
    others = workers;
    fixture_begin(stop_others);
    start(&workers[0], add_to_closed_page);
    start(&workers[1], add_to_closed_page);
    for (unsigned i = 0; i < 300; i++) {
        status_in_policy = SEGUE_SYSTEM;
        (void)*(volatile uint64_t *)closed.memory;
        assert_int_equal(status_in_policy, SEGUE_OK);
    }
    fixture_end(workers, 2);
    assert_int_equal(*(uint64_t *)closed.alias, workers[0].rounds + workers[1].rounds - 2);
}

/* A policy that waits for a lock which whoever suspends has. */
static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;

static enum segue_verdict lock_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    pthread_mutex_lock(&heap_lock);
    pthread_mutex_unlock(&heap_lock);
    return SEGUE_STEP;
}

static void thread_that_waits_in_its_policy_is_suspended_there(void **state)
{
    struct worker worker = {.rounds = 0};
    struct segue_suspension suspension;
    (void)state;
    fixture_begin(lock_in_policy);
    pthread_mutex_lock(&heap_lock);
    start(&worker, add_to_closed_page);
    suspension.thread = worker.number;
    do {
        assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
        sched_yield();
    } while (!suspension.context.in_fault);
    pthread_mutex_unlock(&heap_lock);
    wait_for_round(&worker);
    fixture_end(&worker, 1);
    assert_int_equal(*(uint64_t *)closed.alias, worker.rounds - 1);
}

/* ---- those that do not answer --------------------------------------------------------------------------------- */

static void *end_soon(void *argument)
{
    struct worker *worker = argument;
    announce(worker);
    for (uint64_t left = worker->rounds; left; left--)
        sched_yield();
    return NULL;
}

static void thread_that_ends_is_told_for_gone(void **state)
{
    struct worker worker = {.rounds = 0};
    unsigned gone = 0;
    (void)state;
    fixture_begin(NULL);
    for (unsigned i = 0; i < 500; i++) {
        struct segue_suspension suspension;
        worker.rounds = i % 16;
        start(&worker, end_soon);
        suspension.thread = worker.number;
        enum segue_status status = segue_thread_suspend(&suspension, LONG);
        if (status == SEGUE_OK)
            assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
        else
            assert_int_equal(status, SEGUE_NOT_FOUND);
        pthread_join(worker.thread, NULL);
        assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_NOT_FOUND);
        gone += status == SEGUE_NOT_FOUND;
    }
    print_message("%u of 500 had ended\n", gone);
    fixture_end(NULL, 0);
}

static void thread_that_blocks_the_signal_times_out_and_answers_later(void **state)
{
    struct worker worker = {.rounds = 0}, other = {.rounds = 0};
    struct segue_suspension list[2];
    sigset_t mask;
    (void)state;
    fixture_begin(NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGXCPU);
    worker.block = &mask;
    start(&worker, spin);
    start(&other, spin);
    list[0].thread = worker.number;
    list[1].thread = other.number;
    assert_int_equal(segue_threads_suspend(list, 2, 20 * MILLISECOND), SEGUE_TIMEOUT);
    assert_int_equal(list[0].status, SEGUE_TIMEOUT);
    /* On a machine that is busy it was too late as well. */
    assert_true(list[1].status == SEGUE_OK || list[1].status == SEGUE_TIMEOUT);
    wait_for_round(&worker);
    assert_int_equal(segue_threads_resume(list, 2), SEGUE_OK);
    wait_for_round(&other);
    fixture_end(&worker, 1);
    pthread_join(other.thread, NULL);
}

static volatile sig_atomic_t unblocked;

static void *unblock_later(void *argument)
{
    struct worker *worker = argument;
    announce(worker);
    while (!unblocked)
        sched_yield();
    pthread_sigmask(SIG_UNBLOCK, worker->block, NULL);
    while (goes_on(worker))
        sched_yield();
    return NULL;
}

/* What was asked too early is still waiting there, and takes the place of the second question's signal. */
static void late_answer_is_not_lost_on_a_new_question(void **state)
{
    struct worker worker = {.rounds = 0};
    struct segue_suspension suspension;
    sigset_t mask;
    (void)state;
    fixture_begin(NULL);
    unblocked = 0;
    sigemptyset(&mask);
    sigaddset(&mask, SIGXCPU);
    worker.block = &mask;
    start(&worker, unblock_later);
    suspension.thread = worker.number;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(segue_thread_suspend(&suspension, MILLISECOND), SEGUE_TIMEOUT);
    unblocked = 1;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    wait_for_round(&worker);
    fixture_end(&worker, 1);
}

static void *wait_for_vfork_child(void *argument)
{
    struct worker *worker = argument;
    announce(worker);
    pid_t child = vfork();
    if (child == 0) {
        /* In the parent's memory: it waits in the kernel now. */
        __atomic_store_n(&worker->rounds, 1, __ATOMIC_RELEASE);
        char byte;
        (void)!read(worker->pipe[0], &byte, 1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    while (goes_on(worker))
        sched_yield();
    return NULL;
}

static void parent_of_a_vfork_times_out(void **state)
{
    struct worker worker = {.rounds = 0};
    struct segue_suspension suspension;
    (void)state;
    fixture_begin(NULL);
    assert_int_equal(pipe(worker.pipe), 0);
    start(&worker, wait_for_vfork_child);
    while (rounds_of(&worker) == 0)
        sched_yield();
    suspension.thread = worker.number;
    assert_int_equal(segue_thread_suspend(&suspension, 20 * MILLISECOND), SEGUE_TIMEOUT);
    assert_int_equal(write(worker.pipe[1], "x", 1), 1);
    wait_for_round(&worker);
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    close(worker.pipe[0]);
    close(worker.pipe[1]);
    fixture_end(&worker, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_suspended_at_once_and_stand_still),
        cmocka_unit_test(system_call_goes_on_after_the_resumption),
        cmocka_unit_test(policy_may_suspend_threads_that_fault_themselves),
        cmocka_unit_test(thread_that_waits_in_its_policy_is_suspended_there),
        cmocka_unit_test(thread_that_ends_is_told_for_gone),
        cmocka_unit_test(thread_that_blocks_the_signal_times_out_and_answers_later),
        cmocka_unit_test(late_answer_is_not_lost_on_a_new_question),
        cmocka_unit_test(parent_of_a_vfork_times_out),
    };
    return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
