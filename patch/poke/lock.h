/* lock.h: the lock of code that changes: a thread holds it while a page is writable or a breakpoint is in place, and
 * has all asynchronous signals blocked. A thread that holds it for a fork changes code as if the lock were free.
 *
 * Unless it says otherwise, every function is async-signal-safe and thread-safe. */
#ifndef SEGUE_PATCH_LOCK_H
#define SEGUE_PATCH_LOCK_H

#include <stdbool.h>

/* How often a handler polls before it sleeps. */
#define CODE_LOCK_PATIENCE 20000u

/* Maps the lock; false without memory. To be called once, before the others. Not async-signal-safe. */
bool code_lock_prepare(void);
bool code_lock_is_prepared(void);

/* Polls, sleeps for up to a millisecond, and tries once more: so no thread busy-waits for one that it has preempted. */
bool code_lock_try(void);
void code_lock_release(void);

/* If the lock is held, sleeps until it is free, for a millisecond at most. */
void code_lock_await(void);

/* For fork: no child begins with a writable code page, or with a breakpoint in its code. Other libraries' fork handlers
 * run meanwhile, and the C library's own code. Not async-signal-safe. */
void code_lock_before_fork(void);
void code_lock_after_fork(void);

#endif
