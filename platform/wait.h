/* wait.h: a thread waits until another one gets on, and sleeps meanwhile. A loop around sched_yield would not do: it
 * lets only threads of the caller's priority run, so a real-time thread (SCHED_FIFO) that has preempted the one that it
 * waits for would wait for ever.
 *
 * SOURCES: futex(2), sched_yield(2), sched(7) (SCHED_FIFO). */
#ifndef SEGUE_PLATFORM_WAIT_H
#define SEGUE_PLATFORM_WAIT_H

#if !defined(__linux__)
#error "wait.h is specific to Linux"
#endif

#include <linux/futex.h>
#include <stdint.h>
#include <time.h>

#include "platform/linux/call_x86_64.h"

#define WAIT_MOMENT_NS 50000l

/* Sleeps while `*word` is `value`, at most for `time` (NULL: without a limit). May return early, so the caller looks
 * again. Async-signal-safe, thread-safe. */
static inline void wait_timed(const uint32_t *word, uint32_t value, const struct timespec *time)
{
    system_call4(SYS_futex, (long)(uintptr_t)word, FUTEX_WAIT_PRIVATE, (long)value, (long)(uintptr_t)time);
}

/* Wakes so many of those who sleep there. Async-signal-safe, thread-safe. */
static inline void wait_wake(const uint32_t *word, int most)
{
    system_call3(SYS_futex, (long)(uintptr_t)word, FUTEX_WAKE_PRIVATE, most);
}

/* The same without a limit, for a word whose writer makes no system call unless somebody sleeps: `*waiters` counts
 * them, and is 0 in the beginning. */
static inline void wait_counted(const uint32_t *word, uint32_t value, uint32_t *waiters)
{
    __atomic_fetch_add(waiters, 1, __ATOMIC_SEQ_CST);
    wait_timed(word, value, NULL);
    __atomic_fetch_sub(waiters, 1, __ATOMIC_SEQ_CST);
}

/* After a store to `*word` that ends the wait. Async-signal-safe, thread-safe. */
static inline void wait_wake_counted(const uint32_t *word, const uint32_t *waiters)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(waiters, __ATOMIC_RELAXED))
        wait_wake(word, INT32_MAX);
}

/* Lets all other threads run, whatever their priority. Async-signal-safe, thread-safe. */
static inline void wait_a_moment(void)
{
    const struct timespec moment = {.tv_nsec = WAIT_MOMENT_NS};
    system_call3(SYS_nanosleep, (long)(uintptr_t)&moment, 0, 0);
}

#endif
