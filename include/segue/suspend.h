/* suspend.h: suspends other threads, so that a collector can examine and change them.
 *
 * SOURCES: MPS design/pthreadext; SuspendThread, GetThreadContext; thread_suspend,
 * thread_get_state. */
#ifndef SEGUE_SUSPEND_H
#define SEGUE_SUSPEND_H

#include <segue/handler.h>
#include <segue/mutator.h>

SEGUE_BEGIN

enum segue_suspend_flags {
    /* A suspended thread waits on its alternate stack, if it has one; otherwise on its current
     * stack. */
    SEGUE_SUSPEND_ALTERNATE_STACK = 1,
};

/* How threads are suspended; all zero bytes are the defaults. */
struct segue_suspend_options {
    /* The signal that suspends; 0 means SIGXCPU, as in MPS. The library forwards to the previous
     * handler what a program sends of this signal. */
    int signal;
    /* enum segue_suspend_flags. */
    uint32_t flags;
    /* Signals whose handlers may run in a suspended thread: bit n - 1 for signal n. */
    uint64_t open;
    uint64_t reserved[4];
};

/* Installs the handler of the suspending signal, before or after segue_install. Where a system has
 * no signals (Windows), threads are suspended without one, and the options must be zero. `options`
 * may be NULL. Returns SEGUE_OK; SEGUE_EXISTS; SEGUE_INVALID for an unknown flag or an unusable
 * signal; SEGUE_UNSUPPORTED; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_suspend_install(const struct segue_suspend_options *options);

/* Checks that threads can be suspended. Returns SEGUE_OK; SEGUE_NOT_FOUND if the handler is not
 * installed; SEGUE_NOT_LAST if another handler was installed later, with that handler in `owner`
 * (may be NULL). MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_suspend_check(struct segue_owner *owner);

/* Restores the previous handler. A thread that did not answer in time, because it blocks the
 * signal, still has the signal pending, and the previous handler will receive it. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND; SEGUE_NOT_LAST if another handler was installed later; SEGUE_BUSY while threads
 * are suspended; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_suspend_uninstall(void);

/* The maximum number of threads suspended at the same time. */
#define SEGUE_SUSPENDED_MOST 2000

/* One thread to suspend. */
struct segue_suspension {
    segue_thread_id thread;
    /* The result. SEGUE_OK: the thread is suspended; SEGUE_NOT_FOUND: the thread does not exist, or
     * ended; SEGUE_INVALID: it is the caller; SEGUE_TIMEOUT: it did not answer in time, because it
     * blocks the signal or is in a system call that no signal interrupts; SEGUE_NOT_LAST: another
     * handler took the signal meanwhile; SEGUE_NO_MEMORY: too many threads; SEGUE_SYSTEM. */
    enum segue_status status;
    /* The thread's context, valid until the thread is resumed. */
    struct segue_mutator context;
    struct {
        uint32_t place, held;
        uint64_t reserved[3];
    } private_;
};

/* Suspends all threads of the list, and returns when each is suspended or gone, or when `timeout`
 * nanoseconds have passed (UINT64_MAX: no limit). A thread in a system call leaves it, and enters
 * it again after the resumption as signal(7) says. One thread at a time owns the suspension lock:
 * while it has threads suspended, other suspending threads wait, and may themselves be suspended
 * meanwhile. The owner may suspend a suspended thread again: that thread continues after as many
 * resumptions. Until the resumption, the caller must use only async-signal-safe functions of the
 * library: a suspended thread may hold one of its locks.
 *
 * Returns SEGUE_OK if each thread is suspended or gone; SEGUE_BUSY if another thread owned the
 * suspension lock all the time, and none was suspended; SEGUE_NOT_LAST as segue_suspend_check, and
 * none was suspended; SEGUE_NOT_FOUND without segue_suspend_install; SEGUE_INVALID for a NULL list;
 * otherwise the first other status in the list. Threads with the status SEGUE_OK stay suspended.
 * MT-Safe, AS-Safe, also inside a fault. */
SEGUE_CHECK SEGUE_API enum segue_status segue_threads_suspend(struct segue_suspension *list,
                                                              size_t count, uint64_t timeout);

/* Resumes the suspended threads of the list; any thread may call it. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND if a thread with the status SEGUE_OK is no longer suspended; SEGUE_INVALID.
 * MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_threads_resume(struct segue_suspension *list, size_t count);

/* The same for one thread. segue_thread_suspend returns SEGUE_BUSY or SEGUE_NOT_FOUND as above;
 * otherwise the suspension's status. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_thread_suspend(struct segue_suspension *suspension,
                                                             uint64_t timeout);
SEGUE_API enum segue_status segue_thread_resume(struct segue_suspension *suspension);

SEGUE_END

#endif
