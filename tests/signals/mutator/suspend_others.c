/* suspend_others.c: suspensions beside others: more than one who suspends, turns, suspensions that count, what is
 * refused, other handlers of the signal and signals of the program's, forks. No test measures a time; a test that hangs
 * is ended by its alarm. */
#include "suspend_fixture.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/threads/thread.h"

/* ---- more than one who suspends ------------------------------------------------------------------------------- */

struct duel {
    pthread_t thread;
    segue_thread_id number, rival;
    unsigned suspended, wrong;
};

static void *suspend_rival(void *argument)
{
    struct duel *duel = argument;
    __atomic_store_n(&duel->number, segue_thread_self(), __ATOMIC_RELEASE);
    while (!__atomic_load_n(&duel->rival, __ATOMIC_ACQUIRE))
        sched_yield();
    for (unsigned i = 0; i < 1000; i++) {
        struct segue_suspension suspension = {.thread = duel->rival};
        enum segue_status status = segue_thread_suspend(&suspension, LONG);
        if (status == SEGUE_OK) {
            duel->suspended++;
            (void)*(volatile uint64_t *)closed.memory;
            duel->wrong += segue_thread_resume(&suspension) != SEGUE_OK;
        } else if (status != SEGUE_NOT_FOUND)
            duel->wrong++;
    }
    return NULL;
}

static void threads_that_suspend_each_other_both_go_on(void **state)
{
    struct duel duels[2] = {{.rival = 0}};
    (void)state;
    fixture_begin(NULL);
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&duels[i].thread, NULL, suspend_rival, &duels[i]);
    for (unsigned i = 0; i < 2; i++) {
        while (!__atomic_load_n(&duels[i].number, __ATOMIC_ACQUIRE))
            sched_yield();
        __atomic_store_n(&duels[1 - i].rival, duels[i].number, __ATOMIC_RELEASE);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(duels[i].thread, NULL);
    assert_int_equal(duels[0].wrong + duels[1].wrong, 0);
    assert_true(duels[0].suspended + duels[1].suspended >= 1000);
    fixture_end(NULL, 0);
}

struct keeper {
    struct segue_suspension suspension;
    uint64_t timeout;
    enum segue_status status;
};

static void *suspend_and_end(void *argument)
{
    struct keeper *keeper = argument;
    keeper->status = segue_thread_suspend(&keeper->suspension, keeper->timeout);
    return NULL;
}

static void run_keeper(struct keeper *keeper)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, suspend_and_end, keeper), 0);
    pthread_join(thread, NULL);
}

static void turn_of_a_thread_that_ended_is_over(void **state)
{
    struct worker workers[2] = {{.rounds = 0}};
    struct segue_suspension suspension;
    struct keeper keeper = {.timeout = LONG};
    (void)state;
    fixture_begin(NULL);
    start(&workers[0], spin);
    start(&workers[1], spin);
    keeper.suspension.thread = workers[0].number;
    run_keeper(&keeper);
    assert_int_equal(keeper.status, SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_BUSY);
    suspension.thread = workers[1].number;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&keeper.suspension), SEGUE_OK);
    wait_for_round(&workers[0]);
    fixture_end(workers, 2);
}

static void others_wait_for_their_turn_no_longer_than_they_want(void **state)
{
    struct worker workers[2] = {{.rounds = 0}};
    struct segue_suspension suspension;
    struct keeper keeper = {.timeout = MILLISECOND};
    (void)state;
    fixture_begin(NULL);
    start(&workers[0], spin);
    start(&workers[1], spin);
    suspension.thread = workers[0].number;
    keeper.suspension.thread = workers[1].number;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    run_keeper(&keeper);
    assert_int_equal(keeper.status, SEGUE_BUSY);
    wait_for_round(&workers[1]);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    keeper.timeout = LONG;
    run_keeper(&keeper);
    assert_int_equal(keeper.status, SEGUE_OK);
    assert_int_equal(segue_thread_resume(&keeper.suspension), SEGUE_OK);
    fixture_end(workers, 2);
}

/* ---- what is refused, forks, other signals -------------------------------------------------------------------- */

static void what_cannot_be_is_refused(void **state)
{
    static struct segue_suspension list[SEGUE_SUSPENDED_MOST + 1];
    struct segue_suspend_options wrong = {.flags = 2}, fault = {.signal = SIGSEGV}, none = {.signal = 65};
    struct worker worker = {.rounds = 0};
    (void)state;
    list[0].thread = segue_thread_self();
    assert_int_equal(segue_thread_suspend(&list[0], LONG), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_install(&wrong), SEGUE_INVALID);
    assert_int_equal(segue_suspend_install(&fault), SEGUE_INVALID);
    assert_int_equal(segue_suspend_install(&none), SEGUE_INVALID);
    fixture_begin(NULL);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_thread_suspend(&list[0], LONG), SEGUE_INVALID);
    assert_int_equal(segue_threads_suspend(NULL, 1, LONG), SEGUE_INVALID);
    assert_int_equal(segue_threads_suspend(NULL, 0, LONG), SEGUE_OK);
    assert_int_equal(segue_threads_suspend(list, SEGUE_SUSPENDED_MOST + 1, LONG), SEGUE_INVALID);
    assert_int_equal(segue_threads_resume(NULL, 1), SEGUE_INVALID);
    fixture_end(&worker, 0);
}

static void stands_still(const struct worker *worker)
{
    uint64_t rounds = rounds_of(worker);
    usleep(20000);
    assert_int_equal(rounds_of(worker), rounds);
}

/* For two arenas, one after the other and at once; resumed in any order. */
static void second_suspension_counts(void **state)
{
    struct worker worker = {.rounds = 0};
    struct segue_suspension list[2], other;
    (void)state;
    fixture_begin(NULL);
    start(&worker, spin);
    for (unsigned order = 0; order < 2; order++) {
        list[0].thread = list[1].thread = other.thread = worker.number;
        assert_int_equal(segue_threads_suspend(list, 2, LONG), SEGUE_OK);
        assert_int_equal(segue_thread_suspend(&other, LONG), SEGUE_OK);
        assert_int_equal(other.context.regs.rip, list[0].context.regs.rip);
        assert_int_equal(segue_thread_resume(&list[order]), SEGUE_OK);
        assert_int_equal(segue_thread_resume(&list[order]), SEGUE_NOT_FOUND);
        stands_still(&worker);
        assert_int_equal(segue_thread_resume(&other), SEGUE_OK);
        stands_still(&worker);
        assert_int_equal(segue_suspend_uninstall(), SEGUE_BUSY);
        assert_int_equal(segue_thread_resume(&list[!order]), SEGUE_OK);
        wait_for_round(&worker);
    }
    fixture_end(&worker, 1);
}

static void foreign(int number)
{
    (void)number;
}

/* When the worker, which blocks the signal, has been asked. */
static void *take_the_signal_later(void *asked)
{
    const struct worker *worker = asked;
    struct sigaction action = {.sa_handler = foreign};
    while (!platform_thread_has_pending((int)worker->number, SIGXCPU))
        usleep(1000);
    sigaction(SIGXCPU, &action, NULL);
    return NULL;
}

/* A handler that was installed over ours: whether before the suspension or while it waits. */
static void handler_over_ours_is_named(void **state)
{
    struct sigaction action = {.sa_handler = foreign}, ours;
    struct worker worker = {.rounds = 0};
    struct segue_suspension suspension;
    struct segue_owner owner = {0};
    sigset_t blocked;
    pthread_t other;
    (void)state;
    assert_int_equal(segue_suspend_check(&owner), SEGUE_NOT_FOUND);
    fixture_begin(NULL);
    assert_int_equal(segue_suspend_check(&owner), SEGUE_OK);
    start(&worker, spin);
    suspension.thread = worker.number;
    sigaction(SIGXCPU, &action, &ours);
    assert_int_equal(segue_suspend_check(&owner), SEGUE_NOT_LAST);
    assert_int_equal(owner.signal, SIGXCPU);
    assert_ptr_equal(owner.handler, foreign);
    assert_non_null(owner.object);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_NOT_LAST);
    assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_NOT_LAST);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_NOT_LAST);
    sigaction(SIGXCPU, &ours, NULL);
    fixture_end(&worker, 1);
    fixture_begin(NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGXCPU);
    worker = (struct worker){.block = &blocked};
    start(&worker, spin);
    suspension.thread = worker.number;
    pthread_create(&other, NULL, take_the_signal_later, &worker);
    assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_NOT_LAST);
    assert_int_equal(suspension.status, SEGUE_NOT_LAST);
    pthread_join(other, NULL);
    sigaction(SIGXCPU, &ours, NULL);
    fixture_end(&worker, 1);
}

static volatile sig_atomic_t own_signals, in_fault_when_told;

static void count_signal(int number)
{
    (void)number;
    own_signals++;
    in_fault_when_told = segue_in_fault();
}

static void signal_that_the_program_sends_goes_to_its_handler(void **state)
{
    struct sigaction action = {.sa_handler = count_signal}, kept;
    struct worker worker = {.rounds = 0};
    struct segue_suspension suspension;
    union sigval value = {.sival_ptr = (void *)1};
    (void)state;
    sigaction(SIGXCPU, &action, &kept);
    fixture_begin(NULL);
    own_signals = 0;
    raise(SIGXCPU);
    sigqueue(getpid(), SIGXCPU, value);
    assert_int_equal(own_signals, 2);
    start(&worker, spin);
    suspension.thread = worker.number;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    assert_int_equal(own_signals, 2);
    fixture_end(&worker, 1);
    raise(SIGXCPU);
    assert_int_equal(own_signals, 3);
    sigaction(SIGXCPU, &kept, NULL);
}

static enum segue_verdict raise_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    raise(SIGUSR1);
    return SEGUE_STEP;
}

static void handler_learns_that_it_has_interrupted_a_fault(void **state)
{
    struct sigaction action = {.sa_handler = count_signal}, kept;
    (void)state;
    sigaction(SIGUSR1, &action, &kept);
    fixture_begin_with(raise_in_policy, SEGUE_INSTALL_OPEN_SIGNALS);
    raise(SIGUSR1);
    assert_false(in_fault_when_told);
    (void)*(volatile uint64_t *)closed.memory;
    assert_true(in_fault_when_told);
    raise(SIGUSR1);
    assert_false(in_fault_when_told);
    fixture_end(NULL, 0);
    sigaction(SIGUSR1, &kept, NULL);
}

static void child_of_a_fork_has_nobody_suspended(void **state)
{
    struct worker worker = {.rounds = 0}, of_child = {.rounds = 0};
    struct segue_suspension suspension;
    int status;
    (void)state;
    fixture_begin(NULL);
    start(&worker, spin);
    suspension.thread = worker.number;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        if (segue_thread_resume(&suspension) != SEGUE_NOT_FOUND)
            _exit(1);
        start(&of_child, add_to_closed_page);
        suspension.thread = of_child.number;
        if (segue_thread_suspend(&suspension, LONG) != SEGUE_OK || segue_thread_resume(&suspension) != SEGUE_OK)
            _exit(2);
        wait_for_round(&of_child);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    wait_for_round(&worker);
    fixture_end(&worker, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_suspend_each_other_both_go_on),
        cmocka_unit_test(turn_of_a_thread_that_ended_is_over),
        cmocka_unit_test(others_wait_for_their_turn_no_longer_than_they_want),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(second_suspension_counts),
        cmocka_unit_test(handler_over_ours_is_named),
        cmocka_unit_test(signal_that_the_program_sends_goes_to_its_handler),
        cmocka_unit_test(handler_learns_that_it_has_interrupted_a_fault),
        cmocka_unit_test(child_of_a_fork_has_nobody_suspended),
    };
    return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
