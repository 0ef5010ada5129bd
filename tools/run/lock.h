/* lock.h: the one lock of the host's code. No signal interrupts that code, so whoever waits waits for another thread. A
 * fork takes it, so that the child's copy is free when the child begins. */
#ifndef SEGUE_RUN_LOCK_H
#define SEGUE_RUN_LOCK_H

/* Both async-signal-safe. Not to be taken twice. */
void lock_take(void);
void lock_release(void);

#endif
