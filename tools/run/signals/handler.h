/* handler.h: what run_entry calls. */
#ifndef SEGUE_RUN_HANDLER_H
#define SEGUE_RUN_HANDLER_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* FS base and selector (layout.h). Returned in two registers. */
struct crossing {
    uint64_t base, selector;
};

/* The handler in C, with the host's FS base in force: `base` and `before` are what was in force before, the latter the
 * two bytes that THREAD_SELECTOR begins. Returns what to go on with. */
struct crossing run_signal(int number, siginfo_t *info, ucontext_t *frame, struct thread *thread, uint64_t base,
                           uint64_t before);

#endif
