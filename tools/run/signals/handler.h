/* handler.h: the C function that run_entry calls. */
#ifndef SEGUE_RUN_HANDLER_H
#define SEGUE_RUN_HANDLER_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* The FS base and selector to return with (layout.h). Returned in two registers. */
struct crossing {
    uint64_t base, selector;
};

/* The handler in C, which runs with the host's FS base. `base` and `before` were in force before; `before` holds the
 * two bytes that begin at THREAD_SELECTOR. Returns the FS base and selector to resume with. */
struct crossing run_signal(int number, siginfo_t *info, ucontext_t *frame, struct thread *thread, uint64_t base,
                           uint64_t before);

#endif
