/* frame.h: the seam to the platform's signal frame, stated once; one file for each platform implements it.
 *
 * In all of these `ucontext` is what a SA_SIGINFO handler is given as its third argument, `info` its second; neither is
 * NULL. All are async-signal-safe. */
#ifndef SEGUE_SIGNALS_FRAME_H
#define SEGUE_SIGNALS_FRAME_H

#include <segue/regs.h>
#include <signal.h>

/* A handler's first act: what of the thread's flags the kernel leaves in force, and compiled code cannot run with, is
 * put away. The frame keeps the thread's own. */
void frame_begin(void);

/* Clears those of the calling thread's flags, and returns which of them were set. */
uint64_t frame_clear_flags(uint64_t which);

/* The interrupted instruction's address, alone. */
uint64_t frame_instruction(const void *ucontext);

/* Its flags, alone. */
uint64_t frame_flags(const void *ucontext);

/* Sets where the interrupted thread goes on. */
void frame_set_instruction(void *ucontext, uint64_t rip);

/* The segment bases in force now. */
void frame_bases(struct segue_regs *regs);

/* All of `regs` is written; the segment bases are those in force now, or the interrupted guest's. */
void frame_read(const void *ucontext, struct segue_regs *regs);

/* Everything except the segment bases, the selectors, and those flags that a program cannot set. */
void frame_write(void *ucontext, const struct segue_regs *regs);

/* A view of the extended state in the frame: its area is NULL if the frame has none. */
void frame_xstate(const void *ucontext, struct segue_xstate *xstate);

/* Whether the kernel raised the signal for the instruction at hand; false when a program or a timer sent it, which may
 * have given it a code of the kernel's: the frame must agree with the code. */
bool frame_is_fault(const siginfo_t *info, const void *ucontext);

/* Whether that is certain: the processor has noted a fault in the flags. Otherwise the frame may hold what is left of
 * the thread's last fault, and a program have sent that one's siginfo again. */
bool frame_is_fault_for_sure(const void *ucontext);

/* Whether the signal was sent by a program, and what it sent with it was lost, since the user's queue was full. */
bool frame_is_lost(const siginfo_t *info);

/* What the processor reported. The address is known for page faults alone. Precondition: frame_is_fault. */
void frame_fault(const siginfo_t *info, const void *ucontext, struct segue_fault *fault);

/* The interrupted thread's stack pointer, alone, and whether it is on the thread's alternate stack. */
uint64_t frame_stack_pointer(const void *ucontext);
bool frame_was_on_alternate_stack(const void *ucontext);

/* Whether the frame itself, and so the handler, is on the thread's alternate stack. */
bool frame_on_alternate_stack(const void *ucontext);

/* The most bytes of stack that the kernel's frame takes on this processor. */
size_t frame_size_most(void);

/* The room below a stack pointer of the handler's, where it is on the thread's alternate stack; SIZE_MAX where it is
 * on the thread's own, whose end nobody tells. */
size_t frame_room(const void *ucontext, const void *stack_pointer);

/* The thread's alternate stack as it was set when the frame was made. */
const stack_t *frame_alternate_stack(const void *ucontext);

/* The processor's report as it stands in the frame, to be kept and put into another frame. */
struct frame_exception {
    uint64_t trap, error_code, address;
};
void frame_exception_read(const void *ucontext, struct frame_exception *exception);
void frame_exception_write(void *ucontext, const struct frame_exception *exception);

/* The signal mask that the thread had, and will have again. */
const sigset_t *frame_mask(const void *ucontext);

#endif
