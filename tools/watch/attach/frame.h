/* frame.h: the way back of a borrowed thread whose tracer is killed. The functions that it calls return to code of the
 * C library that keeps the result, and then to the C library's rt_sigreturn, above which is a signal frame with the
 * thread as it was. A tracer that is alive stops it as it enters rt_sigreturn. */
#ifndef SEGUE_TOOLS_WATCH_FRAME_H
#define SEGUE_TOOLS_WATCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* The longest text, with its end. */
#define FRAME_TEXT 4096u

struct frame {
    /* In the C library: mov %rax, (%rbx); pop %rbx; ret. And mov $15, %rax; syscall. */
    uint64_t store, restorer;
    /* On the thread's stack, from below: what a function returns to; the ucontext; the floating-point state; the
     * result; a text. 0 if there is no frame. */
    uint64_t link, context, state, result, text;
    size_t size;
};

/* The code. False if the process's C library does not have it. */
bool frame_find(struct frame *frame, pid_t process);

/* The frame for a stack that is free below `top`, as it is to be written to frame->link. `state` is the XSAVE area as
 * ptrace gives it. It is the caller's to free; NULL if there is no memory, or the state is not understood. */
void *frame_make(struct frame *frame, const struct user_regs_struct *regs, uint64_t mask, const void *state,
                 size_t state_size, uint64_t top);

/* Where the thread waits between calls: it goes home if it is let go. And a call of a function. */
void frame_park(const struct frame *frame, struct user_regs_struct *regs);
void frame_call(const struct frame *frame, struct user_regs_struct *regs);

/* Whether it enters the rt_sigreturn of this frame. */
bool frame_is_back(const struct frame *frame, const struct user_regs_struct *regs);

#endif
