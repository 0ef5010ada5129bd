/* stub.h: system calls that are made by the program's own registers, on its stack and with its signal mask, by a stub
 * in the thread's block: so that they are interrupted and made again as the kernel has it. All are async-signal-safe.
 */
#ifndef SEGUE_RUN_STUB_H
#define SEGUE_RUN_STUB_H

#include <signal.h>

#include "platform/code_range.h"
#include "tools/run/host/thread.h"

/* Arranges that the call is made as the frame's registers are now; `before`, if not NULL, are the arguments that the
 * program's registers hold again afterwards. */
void stub_pass(struct thread *thread, ucontext_t *frame, const uint64_t *before);

/* Notes that the thread, if it was in one of its stubs, goes on in the program, at the call or behind it. */
void stub_end(struct thread *thread, const ucontext_t *frame);

/* The stubs of the thread whose handler asks. */
extern const struct code_range stub_range;

/* Whether the address is in the thread's stubs. */
bool stub_contains(const struct thread *thread, uint64_t instruction);

/* Memory of at least `size` bytes, kept until the thread's next call that needs some; NULL without. */
void *stub_scratch(struct thread *thread, size_t size);

#endif
