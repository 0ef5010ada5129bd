/* lock.h: the one lock of the host's code. Signals do not interrupt that code, so a waiter always waits for another
 * thread. A fork takes the lock, so that it is free in the child's copy. */
#ifndef SEGUE_RUN_LOCK_H
#define SEGUE_RUN_LOCK_H

/* All async-signal-safe. Not to be taken twice. */
void lock_take(void);
void lock_release(void);
/* Releases the lock if a thread took it on the stack in this block. That thread has ended: a process that shared memory
 * may have been killed while it held the lock. */
void lock_release_of(const void *block);

#endif
