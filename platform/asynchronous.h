/* asynchronous.h: holds back the signals that come from outside. Those that a fault raises come through: a thread that
 * blocks SIGSEGV and faults is killed, and what faults may be the C library's own code. */
#ifndef SEGUE_SYSTEM_ASYNCHRONOUS_H
#define SEGUE_SYSTEM_ASYNCHRONOUS_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/* `before`: the mask for asynchronous_put_back. Not async-signal-safe where the C library's pthread_sigmask is not. */
static inline void asynchronous_block(sigset_t *before)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigset_t asynchronous;
    sigfillset(&asynchronous);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++)
        sigdelset(&asynchronous, synchronous[i]);
    pthread_sigmask(SIG_BLOCK, &asynchronous, before);
}

static inline void asynchronous_put_back(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
