/* fault.h: serves faults of the program's code. */
#ifndef SEGUE_RUN_FAULT_H
#define SEGUE_RUN_FAULT_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* Serves a SIGSEGV or SIGBUS that the instruction at the frame's RIP raised: an access through fs: is rewritten, or
 * carried out; any other fault is delivered to the program. Async-signal-safe. */
void fault_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info);

/* Prepares the decoder and the library, which only some accesses need. Done at the first of them; to be called before a
 * seccomp filter would forbid it. False on failure. Async-signal-safe; signals must be blocked, the function takes the
 * lock. */
bool fault_prepare(void);

#endif
