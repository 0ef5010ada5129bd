/* signal_bits.h: sets of signals, a bit each, signal 1 lowest. */
#ifndef SEGUE_PLATFORM_SIGNAL_BITS_H
#define SEGUE_PLATFORM_SIGNAL_BITS_H

#if !defined(__linux__)
#error "platform/linux/signal_bits.h is specific to Linux"
#endif

#include <signal.h>
#include <stdint.h>

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

/* The synchronous signals: those that an instruction raises. */
#define SIGNALS_SYNCHRONOUS                                                                                            \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGTRAP) |        \
     SIGNAL_BIT(SIGSYS))

/* The C library's internal signals. By the first it cancels a thread; by the second all threads change their user,
 * and it waits for each. */
#define SIGNAL_CANCEL 32
#define SIGNAL_SETXID 33
#define SIGNALS_OF_LIBC (SIGNAL_BIT(SIGNAL_CANCEL) | SIGNAL_BIT(SIGNAL_SETXID))

#endif
