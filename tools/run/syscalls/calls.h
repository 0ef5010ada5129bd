/* calls.h: the program's system calls. Those that this house must not see changed are done on the program's behalf; all
 * others are made by the program's own registers (stub.h). */
#ifndef SEGUE_RUN_CALLS_H
#define SEGUE_RUN_CALLS_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* Answers the system call that the frame stands behind. Async-signal-safe. */
void calls_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info);

#endif
