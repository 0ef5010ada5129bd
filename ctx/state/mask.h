/* mask.h: the calling thread's signal mask, as one word. */
#ifndef SEGUE_CTX_MASK_H
#define SEGUE_CTX_MASK_H

#include <stdint.h>

/* Sets the mask to `*wanted` if that is not NULL; returns the one before. Async-signal-safe; errno is kept. */
uint64_t mask_exchange(const uint64_t *wanted);

#endif
