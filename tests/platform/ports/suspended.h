/* suspended.h: threads to be suspended, what a scan of one finds, and the tests that are alike on every system where
 * threads are stopped without a signal of the program's. A port's suspend.c has its own loop (spin), and its own
 * function for a thread's number (system_number). */
#ifndef SEGUE_TESTS_PORTS_SUSPENDED_H
#define SEGUE_TESTS_PORTS_SUSPENDED_H

#include "tests/platform/ports/fixture.h"

#include <segue/mutator.h>
#include <segue/suspend.h>

#if defined(_WIN32)
#include <windows.h>
typedef HANDLE system_thread;
typedef DWORD WINAPI thread_function(void *argument);
#define THREAD(name) static DWORD WINAPI name(void *argument)
#else
#include <pthread.h>
#include <unistd.h>
typedef pthread_t system_thread;
typedef void *thread_function(void *argument);
#define THREAD(name) static void *name(void *argument)
#endif

#define FOREVER UINT64_MAX
#define ROUNDS 5000u
/* So many suspensions in the handler are enough: on a busy machine there are few among all of them. */
#define INSIDE_ENOUGH 300u

/* What threads wait for; what they set as they begin and end; and the number of the one that has begun last. */
static volatile uint32_t go, is_there, has_ended;
/* Whether one has been stopped, and how many rounds there were in all. */
static volatile uint32_t was_stopped, rounds_made;
static volatile segue_thread_id number;

static inline void wait_a_moment(unsigned milliseconds)
{
#if defined(_WIN32)
    Sleep(milliseconds);
#else
    usleep(milliseconds * 1000);
#endif
}

/* The function sets `number` and `is_there`. */
static inline system_thread begin_thread(thread_function *function, void *argument)
{
    system_thread thread;
    go = is_there = has_ended = was_stopped = 0;
#if defined(_WIN32)
    thread = CreateThread(NULL, 0, function, argument, 0, NULL);
    assert_non_null(thread);
#else
    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
#endif
    while (!is_there)
        wait_a_moment(1);
    return thread;
}

static inline void end_thread(system_thread thread)
{
    go = 1;
#if defined(_WIN32)
    assert_int_equal(WaitForSingleObject(thread, 60000), WAIT_OBJECT_0);
    CloseHandle(thread);
#else
    pthread_join(thread, NULL);
#endif
}

static inline struct segue_suspension stop_it(void)
{
    struct segue_suspension suspension = {.thread = number};
    assert_int_equal(segue_thread_suspend(&suspension, FOREVER), SEGUE_OK);
    return suspension;
}

/* ---- scans ---- */

static inline int look_for(void *closure, const void *base, const void *limit)
{
    uintptr_t *search = closure;
    for (const uintptr_t *at = base; at < (const uintptr_t *)limit; at++)
        search[1] += *at == search[0];
    return 0;
}

static inline unsigned count_of(const struct segue_mutator *context, uintptr_t word)
{
    uintptr_t search[2] = {word, 0};
    assert_int_equal(segue_mutator_check(context), SEGUE_OK);
    assert_int_equal(segue_mutator_scan(context, look_for, search), 0);
    return (unsigned)search[1];
}

/* ---- a thread that stands still, and goes on when it was resumed as often as it was suspended ---- */

static inline void resume_twice(struct segue_suspension *one, struct segue_suspension *two,
                                const volatile uint32_t *loops)
{
    const uint32_t seen = *loops;
    wait_a_moment(20);
    assert_int_equal(*loops, seen);
    assert_int_equal(one->context.regs.rsp, two->context.regs.rsp);
    assert_int_equal(segue_mutator_sp(&one->context), one->context.regs.rsp);
    assert_int_equal(one->context.kind, SEGUE_MUTATOR_THREAD);
    assert_false(one->context.in_fault);
    assert_int_equal(segue_thread_resume(one), SEGUE_OK);
    wait_a_moment(20);
    assert_int_equal(*loops, seen);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_BUSY);
    assert_int_equal(segue_thread_resume(two), SEGUE_OK);
    assert_int_equal(segue_thread_resume(two), SEGUE_NOT_FOUND);
    while (*loops == seen)
        wait_a_moment(1);
}

/* ---- a thread in a policy ---- */

#define OWN_WORD ((uintptr_t)0x5e60e019)

/* OWN_WORD is on its stack. */
static inline enum segue_verdict wait_in_the_policy(void *context, const struct segue_event *event)
{
    volatile uintptr_t own[2] = {OWN_WORD, 0};
    (void)context;
    (void)event;
    asked++;
    number = segue_thread_self();
    is_there = 1;
    while (!go)
        wait_a_moment(1);
    own[1] = own[0];
    return SEGUE_STEP;
}

/* ---- a thread that is always in the handler ---- */

static inline enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* Words that one instruction writes, by way of a copy: at least until it was stopped once, which on a busy machine
 * takes a while. */
THREAD(access_much)
{
    volatile uint32_t *cell = argument;
    number = segue_thread_self();
    is_there = 1;
    uint32_t i = 0;
    for (; i < ROUNDS || !was_stopped; i++) {
        uint32_t four[4] = {i, i, i, i};
        __asm__ volatile("movdqu %1, %%xmm6\n\tmovdqu %%xmm6, (%0)" : : "r"(cell), "m"(four) : "xmm6", "memory");
        __atomic_fetch_add(&cell[4], 1, __ATOMIC_RELAXED);
    }
    rounds_made = i;
    has_ended = 1;
    return 0;
}

/* No step is seen half done, and none is lost or done twice. */
static void thread_is_stopped_between_steps(void **state)
{
    volatile uint32_t *cell = begin(step);
    const volatile uint32_t *words = (const volatile uint32_t *)(uintptr_t)alias();
    unsigned inside = 0, suspensions = 0;
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    system_thread thread = begin_thread(access_much, (void *)(uintptr_t)cell);
    while (!has_ended && inside < INSIDE_ENOUGH) {
        struct segue_suspension suspension = {.thread = number};
        enum segue_status status = segue_thread_suspend(&suspension, FOREVER);
        if (status == SEGUE_NOT_FOUND)
            break;
        assert_int_equal(status, SEGUE_OK);
        assert_int_equal(words[0], words[3]);
        inside += suspension.context.in_fault;
        suspensions++;
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
        was_stopped = 1;
    }
    end_thread(thread);
    print_message("%u suspensions, %u of them in the handler\n", suspensions, inside);
    assert_true(suspensions > 0);
    assert_int_equal(words[4], rounds_made);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    end();
}

/* ---- references that move ---- */

#define OLD ((uintptr_t)0x5e60e001)
#define NEW ((uintptr_t)0x5e60e002)
static volatile uint64_t held[3];
static volatile unsigned moved;

/* In a general register, in a vector, and in the x87 registers' place of MM1. */
THREAD(hold_references)
{
    uintptr_t kept = OLD;
    (void)argument;
    number = segue_thread_self();
    __asm__ volatile("movd %k[kept], %%xmm6\n\tmovd %k[kept], %%mm1\n\tmovl $1, %[is_there]\n"
                     "1:\n\tcmpl $0, %[go]\n\tje 1b\n\tmovq %%xmm6, %[vector]\n\tmovq %%mm1, %[mmx]\n\temms"
                     : [kept] "+S"(kept), [is_there] "=m"(is_there), [vector] "=m"(held[1]), [mmx] "=m"(held[2])
                     : [go] "m"(go)
                     : "xmm6", "mm1", "memory", "cc");
    held[0] = kept;
    has_ended = 1;
    return 0;
}

static int move(void *closure, uint64_t *base, uint64_t *limit)
{
    (void)closure;
    for (; base < limit; base++)
        if (*base == OLD) {
            *base = NEW;
            moved++;
        }
    return 0;
}

static void suspended_threads_registers_are_updated(void **state)
{
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    for (unsigned round = 0; round < 20; round++) {
        system_thread thread = begin_thread(hold_references, NULL);
        struct segue_suspension suspension = stop_it();
        moved = 0;
        assert_int_equal(segue_mutator_update(&suspension.context, move, NULL), 0);
        assert_true(moved >= 3);
        assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
        end_thread(thread);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(held[i], NEW);
    }
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

/* ---- answers ---- */

static segue_thread_id system_number(void);
static thread_function spin;

static void suspension_has_its_answers(void **state)
{
    struct segue_suspension suspension = {.thread = segue_thread_self()};
    const struct segue_suspend_options with_signal = {.signal = 24};
    (void)state;
    assert_int_equal(segue_thread_self(), system_number());
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_install(&with_signal), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_suspend_check(NULL), SEGUE_OK);
    assert_int_equal(segue_thread_suspend(&suspension, 0), SEGUE_INVALID);
    system_thread thread = begin_thread(spin, NULL);
    suspension.thread = number;
    end_thread(thread);
    assert_int_equal(segue_thread_suspend(&suspension, FOREVER), SEGUE_NOT_FOUND);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

#endif
