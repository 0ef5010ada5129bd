/* believed.h: what a program believes of its signals while libsegue-sigchain.so answers it (sigchain.h): which of ours
 * a thread has blocked, though none is. */
#ifndef SEGUE_SIGNALS_BELIEVED_H
#define SEGUE_SIGNALS_BELIEVED_H

#include <stdbool.h>
#include <stdint.h>

/* Looks for the preloaded library and lets it answer for `signals`; and no more. Not async-signal-safe. */
void believed_begin(uint64_t signals);
void believed_end(void);

/* The rest is async-signal-safe. */

/* The signals that are answered for; 0 without the preloaded library. */
uint64_t believed_signals(void);

/* Those of them that the calling thread believes to have blocked. Setting them sends the thread what it has held. */
uint64_t believed_mask(void);
void believed_set_mask(uint64_t mask);

/* Keeps a signal that was sent until the thread lets it through. */
void believed_hold(int number, const void *info);

#endif
