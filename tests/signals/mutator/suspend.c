/* suspend.c: threads suspended wherever they are, many at once, in bounded time, by whoever, and what becomes of those
 * that do not answer. No test measures a time; a test that hangs is ended by its alarm. */
#include "tests/support/test.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define MILLISECOND UINT64_C(1000000)
#define LONG (20000 * MILLISECOND)
#define MANY 60

static struct segue_mapping closed;
static bool stop;

/* ---- threads -------------------------------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    segue_thread_id number;
    uint64_t rounds;
    int pipe[2];
    sigset_t *block;
};

static void announce(struct worker *worker)
{
    if (worker->block)
        pthread_sigmask(SIG_BLOCK, worker->block, NULL);
    __atomic_store_n(&worker->number, segue_thread_self(), __ATOMIC_RELEASE);
}

static bool goes_on(struct worker *worker)
{
    __atomic_fetch_add(&worker->rounds, 1, __ATOMIC_RELEASE);
    return !__atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

static void *spin(void *argument)
{
    announce(argument);
    while (goes_on(argument))
        sched_yield();
    return NULL;
}

static void *sleep_often(void *argument)
{
    announce(argument);
    while (goes_on(argument))
        usleep(500);
    return NULL;
}

/* Each round adds one to a word of a page that is closed, by an instruction that must not be done twice. */
static void *add_to_closed_page(void *argument)
{
    struct worker *worker = argument;
    announce(worker);
    while (goes_on(worker))
        __atomic_fetch_add((uint64_t *)closed.memory, 1, __ATOMIC_SEQ_CST);
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

static void start(struct worker *worker, void *(*run)(void *))
{
    __atomic_store_n(&worker->number, 0, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&worker->thread, NULL, run, worker), 0);
    while (!__atomic_load_n(&worker->number, __ATOMIC_ACQUIRE))
        sched_yield();
}

static uint64_t rounds_of(const struct worker *worker)
{
    return __atomic_load_n(&worker->rounds, __ATOMIC_ACQUIRE);
}

static void wait_for_round(const struct worker *worker)
{
    uint64_t before = rounds_of(worker);
    while (rounds_of(worker) == before)
        sched_yield();
}

static void begin_with(segue_policy *policy, uint32_t flags)
{
    const struct segue_options options = {.flags = flags};
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)closed.memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = closed.alias},
        .policy = policy,
    };
    alarm(100);
    __atomic_store_n(&stop, false, __ATOMIC_RELEASE);
    memset(closed.alias, 0, PAGE);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(closed.memory, PAGE, PROT_NONE);
}

static void begin(segue_policy *policy)
{
    begin_with(policy, 0);
}

static void end(struct worker *workers, size_t count)
{
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    mprotect(closed.memory, PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(segue_region_remove(closed.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    alarm(0);
}

/* ---- wherever they are ---------------------------------------------------------------------------------------- */

static void many_are_suspended_at_once_and_stand_still(void **state)
{
    static void *(*const kinds[])(void *) = {spin, sleep_often, add_to_closed_page};
    static struct worker workers[MANY];
    static struct segue_suspension list[MANY];
    uint64_t before[MANY];
    (void)state;
    begin(NULL);
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
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    end(workers, MANY);
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
    begin(NULL);
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
    end(NULL, 0);
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
    begin(stop_others);
    start(&workers[0], add_to_closed_page);
    start(&workers[1], add_to_closed_page);
    for (unsigned i = 0; i < 300; i++) {
        status_in_policy = SEGUE_SYSTEM;
        (void)*(volatile uint64_t *)closed.memory;
        assert_int_equal(status_in_policy, SEGUE_OK);
    }
    end(workers, 2);
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
    begin(lock_in_policy);
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
    end(&worker, 1);
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
    begin(NULL);
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
    end(NULL, 0);
}

static void thread_that_blocks_the_signal_times_out_and_answers_later(void **state)
{
    struct worker worker = {.rounds = 0}, other = {.rounds = 0};
    struct segue_suspension list[2];
    sigset_t mask;
    (void)state;
    begin(NULL);
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
    end(&worker, 1);
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
    begin(NULL);
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
    end(&worker, 1);
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
    begin(NULL);
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
    end(&worker, 1);
}

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
    begin(NULL);
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
    end(NULL, 0);
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
    begin(NULL);
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
    end(workers, 2);
}

static void others_wait_for_their_turn_no_longer_than_they_want(void **state)
{
    struct worker workers[2] = {{.rounds = 0}};
    struct segue_suspension suspension;
    struct keeper keeper = {.timeout = MILLISECOND};
    (void)state;
    begin(NULL);
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
    end(workers, 2);
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
    begin(NULL);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_thread_suspend(&list[0], LONG), SEGUE_INVALID);
    assert_int_equal(segue_threads_suspend(NULL, 1, LONG), SEGUE_INVALID);
    assert_int_equal(segue_threads_suspend(NULL, 0, LONG), SEGUE_OK);
    assert_int_equal(segue_threads_suspend(list, SEGUE_SUSPENDED_MOST + 1, LONG), SEGUE_INVALID);
    assert_int_equal(segue_threads_resume(NULL, 1), SEGUE_INVALID);
    end(&worker, 0);
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
    begin(NULL);
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
    end(&worker, 1);
}

static void foreign(int number)
{
    (void)number;
}

static void *take_the_signal_later(void *unused)
{
    struct sigaction action = {.sa_handler = foreign};
    usleep(50000);
    sigaction(SIGXCPU, &action, NULL);
    return unused;
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
    begin(NULL);
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
    end(&worker, 1);
    begin(NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGXCPU);
    worker = (struct worker){.block = &blocked};
    start(&worker, spin);
    suspension.thread = worker.number;
    pthread_create(&other, NULL, take_the_signal_later, NULL);
    assert_int_equal(segue_thread_suspend(&suspension, UINT64_MAX), SEGUE_NOT_LAST);
    assert_int_equal(suspension.status, SEGUE_NOT_LAST);
    pthread_join(other, NULL);
    sigaction(SIGXCPU, &ours, NULL);
    end(&worker, 1);
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
    begin(NULL);
    own_signals = 0;
    raise(SIGXCPU);
    sigqueue(getpid(), SIGXCPU, value);
    assert_int_equal(own_signals, 2);
    start(&worker, spin);
    suspension.thread = worker.number;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    assert_int_equal(own_signals, 2);
    end(&worker, 1);
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
    begin_with(raise_in_policy, SEGUE_INSTALL_OPEN_SIGNALS);
    raise(SIGUSR1);
    assert_false(in_fault_when_told);
    (void)*(volatile uint64_t *)closed.memory;
    assert_true(in_fault_when_told);
    raise(SIGUSR1);
    assert_false(in_fault_when_told);
    end(NULL, 0);
    sigaction(SIGUSR1, &kept, NULL);
}

static void child_of_a_fork_has_nobody_suspended(void **state)
{
    struct worker worker = {.rounds = 0}, of_child = {.rounds = 0};
    struct segue_suspension suspension;
    int status;
    (void)state;
    begin(NULL);
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
    end(&worker, 1);
}

static int setup(void **state)
{
    (void)state;
    return segue_mapping_create(NULL, PAGE, &closed) == SEGUE_OK ? 0 : -1;
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
    return cmocka_run_group_tests(tests, setup, NULL);
}
