/* handler_regions.c: regions under the installed handler: which are refused, and removing them beside faults in
 * progress, also such as were left for good. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "handler_fixture.h"
#include "signals/threads/thread.h"

static sigjmp_buf jump;
static volatile unsigned jumps;

static void jump_away(int number)
{
    (void)number;
    jumps++;
    siglongjmp(jump, 1);
}

static void bad_regions_are_refused(void **state)
{
    const struct segue_region good = {
        .window = {.base = (uintptr_t)page_of(2), .size = 2 * PAGE, .kind = SEGUE_WINDOW_EXPOSED}};
    struct segue_region region, found;
    (void)state;
    assert_int_equal(segue_region_add(NULL), SEGUE_INVALID);
    region = good, region.window.size = 0;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.size = PAGE + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.base += 8;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.base = ~(uint64_t)0 - PAGE + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.size = ~(uint64_t)0 - PAGE + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.flags = 1u << 31;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.kind = (enum segue_window_kind)9;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.kind = SEGUE_WINDOW_ALIAS;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region.window.alias = (char *)memory.alias + 1;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = good, region.window.kind = SEGUE_WINDOW_CALLBACK;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);

    assert_int_equal(segue_region_add(&good), SEGUE_OK);
    assert_int_equal(segue_region_add(&good), SEGUE_OVERLAP);
    region = good, region.window.base += PAGE;
    assert_int_equal(segue_region_add(&region), SEGUE_OVERLAP);
    region = good, region.window.base -= PAGE, region.window.size = 5 * PAGE;
    assert_int_equal(segue_region_add(&region), SEGUE_OVERLAP);
    assert_int_equal(segue_region_find(page_of(3) + 5, &found), SEGUE_OK);
    assert_int_equal(found.window.base, good.window.base);
    assert_int_equal(segue_region_find(page_of(4), &found), SEGUE_NOT_FOUND);
    assert_int_equal(segue_region_find(page_of(3), NULL), SEGUE_INVALID);
    assert_int_equal(segue_region_remove(page_of(3)), SEGUE_NOT_FOUND);
    assert_int_equal(segue_region_remove(page_of(2) + 1), SEGUE_NOT_FOUND);
    assert_int_equal(segue_region_remove(page_of(2)), SEGUE_OK);
    assert_int_equal(segue_region_remove(page_of(2)), SEGUE_NOT_FOUND);
}

static void remove_waits_for_a_policy_in_progress(void **state)
{
    struct gate gate = {0};
    pthread_t faulting, removing;
    void *seen, *status;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, wait_at_gate, &gate), SEGUE_OK);
    pthread_create(&faulting, NULL, load_second_word, NULL);
    while (!gate.inside)
        sched_yield();
    pthread_create(&removing, NULL, remove_first_page, &gate);
    usleep(20000);
    assert_int_equal(gate.removed, 0);
    gate.open = 1;
    pthread_join(faulting, &seen);
    pthread_join(removing, &status);
    assert_int_equal((uintptr_t)seen, 8);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
}

struct race {
    volatile int stop;
    uint64_t loads;
};

static void *load_for_ever(void *context)
{
    struct race *race = context;
    while (!race->stop) {
        if (load(page_of(0) + 16) != 16)
            abort();
        __atomic_fetch_add(&race->loads, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A fault that happened before its region was removed is looked at after: the page is open by then, and the thread does
 * not crash. */
static void fault_that_outlives_its_region_is_tried_again(void **state)
{
    struct race race = {0};
    pthread_t thread;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    pthread_create(&thread, NULL, load_for_ever, &race);
    /* A busy machine may take a while to start the thread. */
    for (int i = 0; i < 3000 || !__atomic_load_n(&race.loads, __ATOMIC_RELAXED); i++) {
        assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
        for (volatile int wait = 0; wait < 300; wait++)
            ;
        mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE);
        assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    }
    race.stop = 1;
    pthread_join(thread, NULL);
    assert_true(race.loads > 0);
}

static const struct segue_options open_signals = {.flags = SEGUE_INSTALL_OPEN_SIGNALS};

/* This thread is on its alternate stack only while a fault is served. */
static volatile unsigned left_inside;

static void jump_away_and_count(int number)
{
    stack_t present;
    if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_ONSTACK))
        left_inside++;
    jump_away(number);
}

/* A timer's handler leaves by siglongjmp wherever it finds the thread, very often inside the serving of a fault.
 * Neither the thread nor a remover may then take that fault for one in progress.
 *
 * One alarm at a time: siglongjmp restores the mask while it is still on the handler's stack, and the kernel puts the
 * frame of an alarm that is pending by then below. A timer that is faster than siglongjmp fills the alternate stack. */
static void service_that_is_left_by_longjmp_is_over(void **state)
{
    pthread_t removing;
    void *status;
    struct gate gate = {0};
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    print_message("SKIP: the sanitizer waits in siglongjmp for a lock that the interrupted code may hold\n");
    skip();
#endif
    assert_int_equal(segue_install(&open_signals), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(add(1, 1, NULL, NULL), SEGUE_OK);
    jumps = left_inside = 0;
    signal(SIGALRM, jump_away_and_count);
    sigsetjmp(jump, 1);
    while (left_inside < 5000) {
        struct itimerval soon = {.it_value = {.tv_usec = 1 + jumps % 100}};
        setitimer(ITIMER_REAL, &soon, NULL);
        for (unsigned seen = jumps; jumps == seen;)
            assert_int_equal(load(page_of(0) + 8), 8);
    }
    signal(SIGALRM, SIG_DFL);
    /* Another thread need not wait for this one, which does not fault any more. */
    pthread_create(&removing, NULL, remove_first_page, &gate);
    pthread_join(removing, &status);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
    assert_int_equal(segue_region_remove(page_of(1)), SEGUE_OK);
}

/* The same while a region is being looked up: the thread then neither faults nor looks again. */
static void *be_left_looking_up(void *context)
{
    struct gate *gate = context;
    struct segue_region found;
    sigset_t alarms_only;
    sigemptyset(&alarms_only);
    sigaddset(&alarms_only, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms_only, NULL);
    sigsetjmp(jump, 1);
    while (jumps < 5000) {
        struct itimerval soon = {.it_value = {.tv_usec = 1 + jumps % 40}};
        setitimer(ITIMER_REAL, &soon, NULL);
        for (unsigned seen = jumps; jumps == seen;)
            segue_region_find(page_of(0), &found);
    }
    gate->inside = 1;
    while (!gate->open)
        usleep(1000);
    return NULL;
}

static void lookup_that_is_left_by_longjmp_is_over(void **state)
{
    struct gate gate = {0};
    struct sigaction away = {.sa_handler = jump_away};
    sigset_t alarms_only;
    pthread_t thread, removing;
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    print_message("SKIP: the sanitizer takes longer over a siglongjmp than the timer leaves it\n");
    skip();
#endif
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    jumps = 0;
    sigaction(SIGALRM, &away, NULL);
    sigemptyset(&alarms_only);
    sigaddset(&alarms_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms_only, NULL);
    pthread_create(&thread, NULL, be_left_looking_up, &gate);
    while (!gate.inside)
        usleep(1000);
    pthread_create(&removing, NULL, remove_first_page, &gate);
    /* The thread is still there, and does nothing. */
    pthread_join(removing, NULL);
    int removed = gate.removed;
    gate.open = 1;
    pthread_join(thread, NULL);
    signal(SIGALRM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &alarms_only, NULL);
    assert_int_equal(removed, 1);
}

/* The same for a thread that is left in the middle for certain, and for one that has ended there. */
static enum segue_verdict leave_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    siglongjmp(jump, 1);
}

static void leave_fault(void)
{
    if (!sigsetjmp(jump, 1))
        load(page_of(0));
}

static void *be_left_in_the_middle(void *context)
{
    struct gate *gate = context;
    leave_fault();
    gate->inside = 1;
    while (!gate->open)
        usleep(1000);
    return NULL;
}

static enum segue_verdict end_thread(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    pthread_exit(NULL);
}

static void remover_asks_those_that_it_waits_long_for(void **state)
{
    struct gate gate = {0};
    pthread_t thread;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, leave_policy, NULL), SEGUE_OK);
    pthread_create(&thread, NULL, be_left_in_the_middle, &gate);
    while (!gate.inside)
        usleep(1000);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    gate.open = 1;
    pthread_join(thread, NULL);

    assert_int_equal(add(0, 1, end_thread, NULL), SEGUE_OK);
    pthread_create(&thread, NULL, load_second_word, NULL);
    pthread_join(thread, NULL);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
}

/* Settling itself is left, at one instruction after the other: what it has not done yet is done when a remover asks. */
static volatile unsigned steps_left;

static void leave_at_last_step(int number)
{
    (void)number;
    if (steps_left && --steps_left == 0)
        siglongjmp(jump, 1);
}

static bool settle_and_leave(unsigned steps)
{
    const unsigned long trap_flag = 0x100;
    const unsigned long flags = __readeflags();
    steps_left = steps;
    if (sigsetjmp(jump, 1))
        return true;
    __writeeflags(flags | trap_flag);
    thread_settle((uint64_t)(uintptr_t)__builtin_frame_address(0), false);
    __writeeflags(flags);
    steps_left = 0;
    return false;
}

static void settling_that_is_left_is_done_again(void **state)
{
    unsigned left = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    signal(SIGTRAP, leave_at_last_step);
    /* What comes behind the first instructions is a long loop: it is left ever more seldom. */
    for (unsigned steps = 1, was_left = 1; was_left; steps += steps < 60 ? 1 : 60 + steps) {
        struct gate gate = {0};
        pthread_t removing;
        assert_int_equal(add(0, 1, leave_policy, NULL), SEGUE_OK);
        leave_fault();
        was_left = settle_and_leave(steps);
        left += was_left;
        pthread_create(&removing, NULL, remove_first_page, &gate);
        pthread_join(removing, NULL);
        assert_true(gate.removed);
    }
    signal(SIGTRAP, SIG_DFL);
    assert_true(left > 60);
}

static struct sigaction covered;

static void call_covered(int number, siginfo_t *info, void *context)
{
    covered.sa_sigaction(number, info, context);
}

/* A handler over ours must not be asked; that a thread has ended is known without. */
static void ended_thread_is_noticed_under_another_handler(void **state)
{
    struct sigaction over = {.sa_sigaction = call_covered, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    pthread_t thread;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, end_thread, NULL), SEGUE_OK);
    sigaction(SIGSEGV, &over, &covered);
    pthread_create(&thread, NULL, load_second_word, NULL);
    pthread_join(thread, NULL);
    alarm(20);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
    alarm(0);
    sigaction(SIGSEGV, &covered, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(bad_regions_are_refused),
        FIXTURE_TEST(remove_waits_for_a_policy_in_progress),
        FIXTURE_TEST(fault_that_outlives_its_region_is_tried_again),
        FIXTURE_TEST(service_that_is_left_by_longjmp_is_over),
        FIXTURE_TEST(lookup_that_is_left_by_longjmp_is_over),
        FIXTURE_TEST(remover_asks_those_that_it_waits_long_for),
        FIXTURE_TEST(settling_that_is_left_is_done_again),
        FIXTURE_TEST(ended_thread_is_noticed_under_another_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
