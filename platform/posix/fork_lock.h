/* fork_lock.h: see platform/process/fork_lock.h. */
#ifndef SEGUE_PLATFORM_POSIX_FORK_LOCK_H
#define SEGUE_PLATFORM_POSIX_FORK_LOCK_H

#if defined(_WIN32)
#error "platform/posix/fork_lock.h is specific to POSIX"
#endif

#include <pthread.h>
#include <stdbool.h>

struct fork_lock {
    pthread_mutex_t mutex;
    /* The thread that forks, and its forks in progress: a fork handler may fork. Its pthread_t is the same in the
     * child. */
    pthread_t forking;
    unsigned forks;
};

#define FORK_LOCK_INITIALIZER                                                                                          \
    {                                                                                                                  \
        PTHREAD_MUTEX_INITIALIZER, 0, 0                                                                                \
    }

static inline bool fork_lock_is_ours(struct fork_lock *lock)
{
    return __atomic_load_n(&lock->forks, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&lock->forking, __ATOMIC_RELAXED) == pthread_self();
}

/* None of these is async-signal-safe. */
static inline void fork_lock_take(struct fork_lock *lock)
{
    if (!fork_lock_is_ours(lock))
        pthread_mutex_lock(&lock->mutex);
}

/* False if another thread has it. */
static inline bool fork_lock_try(struct fork_lock *lock)
{
    return fork_lock_is_ours(lock) || pthread_mutex_trylock(&lock->mutex) == 0;
}

static inline void fork_lock_release(struct fork_lock *lock)
{
    if (!fork_lock_is_ours(lock))
        pthread_mutex_unlock(&lock->mutex);
}

static inline void fork_lock_before(struct fork_lock *lock)
{
    fork_lock_take(lock);
    __atomic_store_n(&lock->forking, pthread_self(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&lock->forks, 1, __ATOMIC_RELEASE);
}

/* Does nothing if fork_lock_before was not called: the hooks were registered while a fork was in progress. */
static inline void fork_lock_after(struct fork_lock *lock)
{
    if (lock->forks && __atomic_sub_fetch(&lock->forks, 1, __ATOMIC_RELEASE) == 0)
        pthread_mutex_unlock(&lock->mutex);
}

/* In the child: as fork_lock_after, by a thread whose TID differs from that of the thread that locked it. */
static inline void fork_lock_in_child(struct fork_lock *lock)
{
    if (lock->forks && __atomic_sub_fetch(&lock->forks, 1, __ATOMIC_RELEASE) == 0)
        pthread_mutex_init(&lock->mutex, NULL);
}

#endif
