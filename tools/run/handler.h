/* handler.h: what run_entry calls. */
#ifndef SEGUE_RUN_HANDLER_H
#define SEGUE_RUN_HANDLER_H

#include "thread.h"

/* The handler in C, with the host's FS base in force: `base` and `selector` are what was in force before. Returns the
 * FS base to go on with. */
uint64_t run_signal(int number, siginfo_t *info, ucontext_t *frame, struct thread *thread, uint64_t base,
                    uint64_t selector);

#endif
