/* lock.c: see lock.h. */
#include "lock.h"

#include "decode/x86/page.h"
#include "platform/memory/memory.h"
#include "platform/threads/thread.h"

/* How often a handler polls the lock, and how long it sleeps between polls: the holder makes some system calls, and may
 * have been preempted by this very thread. */
#define PATIENCE CODE_LOCK_PATIENCE
#define SLEEP_NS 1000000u

/* It is in a page of its own, which the kernel wipes in a child made by fork: the holder does not exist there. */
static uint32_t *lock;
#define LOCK_FREE 0u
#define LOCK_HELD 1u
/* A thread may be sleeping until it is free. */
#define LOCK_AWAITED 2u
/* The thread that holds the lock for a fork, 0 if no thread does. Its own faults, in other libraries' fork handlers,
 * still change code. */
static const void *forking;
static unsigned forks_in_progress;

bool code_lock_prepare(void)
{
    uint32_t *page = platform_map(PAGE);
    if (!page)
        return false;
    platform_wipe_on_fork(page, PAGE);
    __atomic_store_n(&lock, page, __ATOMIC_RELEASE);
    return true;
}

bool code_lock_is_prepared(void)
{
    return __atomic_load_n(&lock, __ATOMIC_ACQUIRE) != NULL;
}

static bool is_held_for_our_fork(void)
{
    return __atomic_load_n(&forks_in_progress, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&forking, __ATOMIC_RELAXED) == platform_thread_self();
}

static bool take_awaited(void)
{
    return __atomic_exchange_n(lock, LOCK_AWAITED, __ATOMIC_ACQUIRE) == LOCK_FREE;
}

/* A thread that cannot proceed without the lock retries after this has slept, so no thread busy-waits. */
static bool lock_try_sleeping(void)
{
    if (take_awaited())
        return true;
    platform_wait(lock, LOCK_AWAITED, SLEEP_NS);
    return take_awaited();
}

bool code_lock_try(void)
{
    if (is_held_for_our_fork())
        return true;
    for (unsigned i = 0; i < PATIENCE; i++) {
        uint32_t expected = LOCK_FREE;
        if (__atomic_load_n(lock, __ATOMIC_RELAXED) == LOCK_FREE &&
            __atomic_compare_exchange_n(lock, &expected, LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        __builtin_ia32_pause();
    }
    return lock_try_sleeping();
}

void code_lock_release(void)
{
    if (is_held_for_our_fork())
        return;
    if (__atomic_exchange_n(lock, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED)
        platform_wake(lock, 1);
}

void code_lock_await(void)
{
    uint32_t held = LOCK_HELD;
    if (__atomic_compare_exchange_n(lock, &held, LOCK_AWAITED, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
        held == LOCK_AWAITED)
        platform_wait(lock, LOCK_AWAITED, SLEEP_NS);
}

static uint64_t mask_before_fork;

void code_lock_before_fork(void)
{
    uint64_t before = platform_asynchronous_hold();
    while (!code_lock_try())
        continue;
    if (!forks_in_progress)
        mask_before_fork = before;
    __atomic_store_n(&forking, platform_thread_self(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&forks_in_progress, 1, __ATOMIC_RELEASE);
}

void code_lock_after_fork(void)
{
    if (!forks_in_progress || __atomic_sub_fetch(&forks_in_progress, 1, __ATOMIC_RELEASE))
        return;
    uint64_t before = mask_before_fork;
    code_lock_release();
    platform_signals_release(before);
}
