/* suspend.h: other threads are held so that they can be looked at and changed.
 *
 * SOURCES: MPS design/pthreadext; SuspendThread, GetThreadContext; thread_suspend,
 * thread_get_state. */
#ifndef SEGUE_SUSPEND_H
#define SEGUE_SUSPEND_H

#include <segue/handler.h>
#include <segue/mutator.h>

SEGUE_BEGIN

enum segue_suspend_flags {
    /* A thread waits on its alternate stack, if it has one; otherwise on the stack that it is on. */
    SEGUE_SUSPEND_ALTERNATE_STACK = 1,
};

/* How threads are suspended; all zero bytes are the defaults. */
struct segue_suspend_options {
    /* The signal; 0 means SIGXCPU, as in MPS. What a program sends of it goes to the handler that
     * was there before. */
    int signal;
    /* enum segue_suspend_flags. */
    uint32_t flags;
    /* Signals whose handlers may run in a suspended thread, bit n - 1 for signal n. */
    uint64_t open;
    uint64_t reserved[4];
};

/* Installs the handler of the signal, before or after segue_install. `options` may be NULL. Returns
 * SEGUE_OK; SEGUE_EXISTS; SEGUE_INVALID for an unknown flag or a signal that cannot be used;
 * SEGUE_UNSUPPORTED; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_suspend_install(const struct segue_suspend_options *options);

/* Tells whether suspension works: SEGUE_OK; SEGUE_NOT_FOUND when it is not installed;
 * SEGUE_NOT_LAST when another handler was installed over ours, and in `owner` (may be NULL) whose
 * it is. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_suspend_check(struct segue_owner *owner);

/* Puts the handler that was there before back. A thread that did not answer in time, because it
 * blocks the signal, still has it waiting, and that handler gets it. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND; SEGUE_NOT_LAST when another handler was installed over ours; SEGUE_BUSY while
 * threads are suspended; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_suspend_uninstall(void);

/* The most threads that can be suspended at once. */
#define SEGUE_SUSPENDED_MOST 2000

/* One thread to be suspended. */
struct segue_suspension {
    segue_thread_id thread;
    /* What came of it: SEGUE_OK: it is suspended; SEGUE_NOT_FOUND: there is no such thread, or it
     * ended; SEGUE_INVALID: it is the caller; SEGUE_TIMEOUT: it did not answer in time, since it
     * blocks the signal or is in a system call that no signal interrupts; SEGUE_NOT_LAST: another
     * handler took the signal meanwhile; SEGUE_NO_MEMORY: too many; SEGUE_SYSTEM. */
    enum segue_status status;
    /* Its context, from then until it is resumed. */
    struct segue_mutator context;
    struct {
        uint32_t place, held;
        uint64_t reserved[3];
    } private_;
};

/* Suspends all of them, and returns when each is suspended, gone, or `timeout` nanoseconds have
 * passed (UINT64_MAX: never). A thread in a system call leaves it, and enters it again after the
 * resumption where signal(7) says so. One thread at a time has others suspended: while it does,
 * others that want to must wait, and may be suspended as they do. It may suspend a thread again
 * that it has suspended: that goes on when it was resumed as often. Until the resumption, call
 * nothing of the library that is not async-signal-safe: a suspended thread may have its lock.
 * Returns SEGUE_OK when each of them is suspended or gone; SEGUE_BUSY when another thread had
 * threads suspended all the time: none was; SEGUE_NOT_LAST as segue_suspend_check: none was;
 * SEGUE_NOT_FOUND without segue_suspend_install; SEGUE_INVALID for a NULL list; else the first
 * other status in the list. Those that are suspended stay so. Async-signal-safe, also inside a
 * fault; thread-safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_threads_suspend(struct segue_suspension *list, size_t count,
                                                              uint64_t timeout);

/* Lets those of them go on that are suspended; any thread may. Returns SEGUE_OK; SEGUE_NOT_FOUND
 * when one whose status is SEGUE_OK is not suspended any more; SEGUE_INVALID. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_threads_resume(struct segue_suspension *list, size_t count);

/* The same for one thread. segue_thread_suspend returns SEGUE_BUSY or SEGUE_NOT_FOUND as above,
 * else the suspension's status. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_thread_suspend(struct segue_suspension *suspension, uint64_t timeout);
SEGUE_API enum segue_status segue_thread_resume(struct segue_suspension *suspension);

SEGUE_END

#endif
