/* stub.h: a stub in the thread's block makes a system call with the program's own registers, stack and signal mask, so
 * that the kernel interrupts and restarts it as natively. All are async-signal-safe. */
#ifndef SEGUE_RUN_STUB_H
#define SEGUE_RUN_STUB_H

#include <signal.h>

#include "platform/code_range.h"
#include "tools/run/host/thread.h"

/* Arranges that a stub makes the call with the frame's present registers; `before`, if not NULL, are the arguments that
 * the program's registers hold again afterwards. */
void stub_pass(struct thread *thread, ucontext_t *frame, const uint64_t *before);

/* Notes that the thread, if it was in one of its stubs, goes on in the program, at the call or after it. */
void stub_end(struct thread *thread, const ucontext_t *frame);

/* The stubs of the calling handler's thread, as a code range. */
extern const struct code_range stub_range;

/* Whether the address is in the thread's stubs. */
bool stub_contains(const struct thread *thread, uint64_t instruction);

/* Memory of at least `size` bytes, valid until the thread's next call that needs some; NULL if memory has run out. */
void *stub_scratch(struct thread *thread, size_t size);

#endif
