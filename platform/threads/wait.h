/* wait.h: a thread waits until another one makes progress, and sleeps meanwhile. A loop that yields the processor
 * would not do: it lets only threads of the caller's priority run, so a real-time thread (SCHED_FIFO) that has
 * preempted the thread that it waits for would wait indefinitely.
 *
 * SOURCES: sched_yield(2), sched(7) (SCHED_FIFO). */
#ifndef SEGUE_PLATFORM_WAIT_H
#define SEGUE_PLATFORM_WAIT_H

#include <stdint.h>

#include "thread.h"

#define WAIT_MOMENT_NS 50000u

/* Sleeps while `*word` is `value`, for a word whose writer makes a system call only if a thread sleeps: `*waiters`
 * counts the sleepers, and is initially 0. May return early. Async-signal-safe, thread-safe. */
static inline void wait_counted(const uint32_t *word, uint32_t value, uint32_t *waiters)
{
    __atomic_fetch_add(waiters, 1, __ATOMIC_SEQ_CST);
    platform_wait(word, value, PLATFORM_FOREVER);
    __atomic_fetch_sub(waiters, 1, __ATOMIC_SEQ_CST);
}

/* After a store to `*word` that ends the wait. Async-signal-safe, thread-safe. */
static inline void wait_wake_counted(const uint32_t *word, const uint32_t *waiters)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(waiters, __ATOMIC_RELAXED))
        platform_wake(word, INT32_MAX);
}

/* Lets all other threads run, whatever their priority. Async-signal-safe, thread-safe. */
static inline void wait_a_moment(void)
{
    platform_sleep(WAIT_MOMENT_NS);
}

#endif
