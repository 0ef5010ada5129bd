/* chain.h: what a handler leaves to the one that was there before, where a function of platform/ is what the system
 * calls. */
#ifndef SEGUE_PLATFORM_POSIX_CHAIN_H
#define SEGUE_PLATFORM_POSIX_CHAIN_H

#if defined(_WIN32)
#error "platform/posix/called/chain.h is specific to POSIX"
#endif

#include <signal.h>

#include "native.h"

/* Calls the handler of `previous` with the system's frame, and with the mask that the system would have called it with;
 * without a handler the thread dies of the signal when the calling one returns. A one-shot handler is taken out of
 * `previous`. Each such system has one (platform/SYSTEM/handlers/action.c). Async-signal-safe. */
void native_chain(struct sigaction *previous, const struct native_info *info, siginfo_t *told, ucontext_t *context);

#endif
