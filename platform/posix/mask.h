/* mask.h: the one way to a thread's mask, which each system with signals has. */
#ifndef SEGUE_PLATFORM_POSIX_MASK_H
#define SEGUE_PLATFORM_POSIX_MASK_H

#if defined(_WIN32)
#error "platform/posix/mask.h is specific to POSIX"
#endif

#include <stdint.h>

/* pthread_sigmask(3) of one word; `bits` may be NULL. Returns the mask before. Async-signal-safe; errno stays. */
uint64_t mask_change(int how, const uint64_t *bits);

#endif
