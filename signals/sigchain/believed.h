/* believed.h: the virtual signal mask: which of the library's signals a program believes a thread has blocked, while
 * libsegue-sigchain.so answers it (sigchain.h). The kernel's mask blocks none of them. */
#ifndef SEGUE_SIGNALS_BELIEVED_H
#define SEGUE_SIGNALS_BELIEVED_H

#include <stdbool.h>
#include <stdint.h>

/* Looks for the preloaded library and makes it answer for exactly `signals`. Not async-signal-safe. */
void believed_begin(uint64_t signals);
void believed_end(void);

/* All that follows is async-signal-safe. */

/* The signals with a virtual mask; 0 without the preloaded library. */
uint64_t believed_signals(void);

/* The calling thread's virtual mask. Setting it sends the thread the held signals that it no longer blocks. */
uint64_t believed_mask(void);
void believed_set_mask(uint64_t mask);

/* Holds a signal that was sent until the thread unblocks it in its virtual mask. */
void believed_hold(int number, const void *info);

#endif
