/* unhandled.c: the place for a breakpoint where a process is about to die of a fault. */
#include "unhandled.h"

#include <segue/handler.h>

#include "signals/frame.h"

/* The call must be there, with its arguments, however the library was built. */
__attribute__((noinline)) void segue_debug_unhandled(const struct segue_fault *fault, const struct segue_regs *regs)
{
    __asm__ volatile("" : : "r"(fault), "r"(regs) : "memory");
}

__attribute__((noinline)) void unhandled_tell(const siginfo_t *info, const void *ucontext)
{
    struct segue_regs regs;
    struct segue_fault fault;
    frame_read(ucontext, &regs);
    frame_fault(info, ucontext, &fault);
    segue_debug_unhandled(&fault, &regs);
}
