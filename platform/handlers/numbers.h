/* numbers.h: the numbers of signals, and the flags of their actions: signal.h, completed where a system has no signals
 * and platform/SYSTEM/handlers calls its exceptions by these names. */
#ifndef SEGUE_PLATFORM_NUMBERS_H
#define SEGUE_PLATFORM_NUMBERS_H

#include <signal.h>

#if defined(_WIN32)
#define SIGTRAP 5
#define SIGBUS 7
#define SIGSYS 31
#define SA_SIGINFO 0x00000004
#define SA_ONSTACK 0x08000000
#define SA_RESTART 0x10000000
#define SA_NODEFER 0x40000000
#define SA_RESETHAND 0x80000000
#endif

#endif
