/* knock.h: signals that the library sends to threads of its own process, which then answer what they are asked.
 *
 * They are SIGSEGV. The kernel drops a signal while one of the same number is pending: a fault that is dropped so is
 * raised again by its instruction, but a system call whose SIGSYS is dropped is never made (docs/facts.md). A knock may
 * be dropped, too: so a thread that receives one answers whatever it may have been asked. */
#ifndef SEGUE_SIGNALS_KNOCK_H
#define SEGUE_SIGNALS_KNOCK_H

#include <stdbool.h>

/* False if it cannot be done: the thread has ended, or too many are under way. It is a SIGSYS, whose handler stays, if
 * the thread blocks SIGSEGV; and if another handler is installed over the library's for SIGSEGV, which would take the
 * knock for a signal of the program. Not async-signal-safe. */
bool knock_send(int thread);

/* The same, again and again, for 2 seconds at most: false if the thread has not ended, and was sent none. Not
 * async-signal-safe. */
bool knock_insist(int thread);

/* In the handler: whether the signal is a knock, or may be one whose word the kernel has dropped because the
 * user's queue of signals was full. `info` is the second argument of its handler. Async-signal-safe. */
bool knock_take(const void *info);

/* Waits until none is under way, for 2 seconds at most; false if one is then. Not async-signal-safe. */
bool knock_wait(void);

/* In a child made by fork. */
void knock_in_child(void);

#endif
