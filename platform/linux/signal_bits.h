/* signal_bits.h: the C library's own signals. */
#ifndef SEGUE_PLATFORM_SIGNAL_BITS_H
#define SEGUE_PLATFORM_SIGNAL_BITS_H

#if !defined(__linux__)
#error "platform/linux/signal_bits.h is specific to Linux"
#endif

#include "platform/threads/thread.h"

/* By the first the C library cancels a thread; by the second all threads change their user, and it waits for each. */
#define SIGNAL_CANCEL 32
#define SIGNAL_SETXID 33
#define SIGNALS_OF_LIBC (SIGNAL_BIT(SIGNAL_CANCEL) | SIGNAL_BIT(SIGNAL_SETXID))

#endif
