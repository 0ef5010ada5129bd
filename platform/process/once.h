/* once.h: work that is done once per process; if it fails, the next caller tries again (pthread_once cannot
 * report a failure). A child made by fork while another thread was doing the work finds it not done. */
#ifndef SEGUE_PLATFORM_ONCE_H
#define SEGUE_PLATFORM_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/threads/wait.h"

/* All zero bytes: not done. */
struct once {
    /* ONCE_DONE, or twice the PID of the process one of whose threads is doing the work. */
    uint32_t state;
    /* The number of threads that wait for that thread. */
    uint32_t waiters;
};

#define ONCE_DONE 1u

/* Does `work` unless it is done. True if it is done when this returns. Not async-signal-safe; thread-safe. */
static inline bool once(struct once *once, bool (*work)(void))
{
    /* The kernel gives no PID above 2^22 (PID_MAX_LIMIT). */
    uint32_t at_it = 2 * (uint32_t)platform_process_id();
    for (;;) {
        uint32_t state = __atomic_load_n(&once->state, __ATOMIC_ACQUIRE);
        if (state == ONCE_DONE)
            return true;
        if (state == at_it) {
            wait_counted(&once->state, at_it, &once->waiters);
            continue;
        }
        if (!__atomic_compare_exchange_n(&once->state, &state, at_it, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        bool done = work();
        __atomic_store_n(&once->state, done ? ONCE_DONE : 0, __ATOMIC_RELEASE);
        wait_wake_counted(&once->state, &once->waiters);
        return done;
    }
}

#endif
