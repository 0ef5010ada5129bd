/* fault.h: faults of the program's code. */
#ifndef SEGUE_RUN_FAULT_H
#define SEGUE_RUN_FAULT_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* Answers a SIGSEGV or SIGBUS that the instruction at the frame's RIP raised: an access through fs: is rewritten, or
 * done; anything else is the program's own. Async-signal-safe. */
void fault_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info);

/* Makes ready what only some accesses need: the decoder and the library. Done at the first of them; to be called before
 * what would forbid it. False if it cannot be had. Async-signal-safe; signals must be blocked, the lock is taken. */
bool fault_prepare(void);

#endif
