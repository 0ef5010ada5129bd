/* lock.h: the one lock of the host's code. No signal interrupts that code, so whoever waits waits for another thread. A
 * fork takes it, so that the child's copy is free when the child begins. */
#ifndef SEGUE_RUN_LOCK_H
#define SEGUE_RUN_LOCK_H

/* All async-signal-safe. Not to be taken twice. */
void lock_take(void);
void lock_release(void);
/* Releases what a thread took on the stack in its block, if it has it. It has ended: a process that shared memory may have
 * been killed in the middle. */
void lock_release_of(const void *block);

#endif
