/* signals.h: signals that a program does not choose. */
#ifndef SEGUE_PLATFORM_FREEBSD_SIGNALS_H
#define SEGUE_PLATFORM_FREEBSD_SIGNALS_H

#if !defined(__FreeBSD__)
#error "platform/freebsd/handlers/signals.h is specific to FreeBSD"
#endif

#include <signal.h>

#include "platform/threads/thread.h"

/* The C library's, and those that no handler gets. */
#define SIGNALS_OF_SYSTEM (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTHR) | SIGNAL_BIT(SIGLIBRT))

/* The library's own, by which a thread is stopped (platform/freebsd/threads/stop.c): a number without a name. */
#define SIGNAL_STOP 63

#endif
