/* fault.h: faults of the program's code. */
#ifndef SEGUE_RUN_FAULT_H
#define SEGUE_RUN_FAULT_H

#include "thread.h"

/* Answers a SIGSEGV or SIGBUS that the instruction at the frame's RIP raised: an access through fs: is rewritten, or
 * done; anything else is the program's own. Async-signal-safe. */
void fault_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info);

/* Begins to answer. Before the program is started. */
bool fault_begin(void);

#endif
