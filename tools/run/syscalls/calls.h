/* calls.h: the program's system calls. Those that this house must not see changed are done on the program's behalf; all
 * others are made by the program's own registers, on its stack and with its signal mask, by a stub in the thread's
 * block: so that they are interrupted and made again as the kernel has it. All are async-signal-safe. */
#ifndef SEGUE_RUN_CALLS_H
#define SEGUE_RUN_CALLS_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* Answers the system call that the frame stands behind. */
void calls_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info);

/* Arranges that the call is made as the frame's registers are now; `before`, if not NULL, are the arguments that the
 * program's registers hold again afterwards. */
void calls_pass(struct thread *thread, ucontext_t *frame, const uint64_t *before);

/* If the thread was in one of its stubs, makes the frame the program's: before its call, or behind it. */
void calls_leave_stub(struct thread *thread, ucontext_t *frame);

/* Whether the address is in the thread's stubs. */
bool calls_is_stub(const struct thread *thread, uint64_t instruction);

/* Memory of at least `size` bytes, kept until the thread's next call that needs some; NULL without. */
void *calls_scratch(struct thread *thread, size_t size);

/* fork, vfork, clone, clone3. */
long process_clone(struct thread *thread, ucontext_t *frame);
long process_clone3(struct thread *thread, ucontext_t *frame);
long process_fork(struct thread *thread, ucontext_t *frame, uint64_t flags);

/* execve and execveat: executes the program; arranges that the kernel does, and returns 0; or returns a negative error
 * number, or CALLS_AGAIN: the call is to be made again, behind a signal that comes first. */
#define CALLS_AGAIN (-513)
long exec_serve(struct thread *thread, ucontext_t *frame);

/* For calls with a path: if it leads to the host's program, which the program takes for itself, puts another there.
 * readlink is answered. Returns whether the call is done, with its result. */
bool path_serve(struct thread *thread, ucontext_t *frame, long *result);

#endif
