/* calls.h: the program's system calls. The host makes those whose effect the program must not see changed; the
 * program's own registers make all others (stub.h). */
#ifndef SEGUE_RUN_CALLS_H
#define SEGUE_RUN_CALLS_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* Serves the system call before the frame's instruction. Async-signal-safe. */
void calls_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info);

#endif
