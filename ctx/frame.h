/* frame.h: what ctx changes in a platform's signal frame; one file for each platform. `ucontext` is what a SA_SIGINFO
 * handler is given as its third argument. All are async-signal-safe. */
#ifndef SEGUE_CTX_FRAME_H
#define SEGUE_CTX_FRAME_H

#include <segue/regs.h>

/* The handler's return enters `instruction`, a function that takes one argument and never returns, in place of what was
 * interrupted: with the direction flag clear and the x87 stack empty, as between functions. The stack stays the
 * interrupted one, and may have no room: the function must not touch it. */
void frame_call(void *ucontext, uint64_t instruction, uint64_t argument);

/* The signal mask that the return puts in force. */
void frame_set_mask(void *ucontext, uint64_t mask);

#endif
