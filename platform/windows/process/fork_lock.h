/* fork_lock.h: see platform/process/fork_lock.h. Nothing forks here.
 *
 * SOURCES: Microsoft, "Slim Reader/Writer (SRW) Locks": a pointer, initially NULL. */
#ifndef SEGUE_PLATFORM_WINDOWS_FORK_LOCK_H
#define SEGUE_PLATFORM_WINDOWS_FORK_LOCK_H

#if !defined(_WIN32)
#error "platform/windows/process/fork_lock.h is specific to Windows"
#endif

struct fork_lock {
    void *lock;
};

#define FORK_LOCK_INITIALIZER                                                                                          \
    {                                                                                                                  \
        0                                                                                                              \
    }

void fork_lock_take(struct fork_lock *lock);
void fork_lock_release(struct fork_lock *lock);

static inline void fork_lock_before(struct fork_lock *lock)
{
    fork_lock_take(lock);
}

static inline void fork_lock_after(struct fork_lock *lock)
{
    fork_lock_release(lock);
}

static inline void fork_lock_in_child(struct fork_lock *lock)
{
    fork_lock_release(lock);
}

#endif
