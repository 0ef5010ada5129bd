/* unhandled.c: a place for a debugger's breakpoint, where a process is about to die of a fault. */
#include "unhandled.h"

#include <segue/handler.h>

#include "signals/fault/fault.h"

/* The call must exist, with its arguments, whatever optimisation the library was built with. */
__attribute__((noinline)) void segue_debug_unhandled(const struct segue_fault *fault, const struct segue_regs *regs)
{
    __asm__ volatile("" : : "r"(fault), "r"(regs) : "memory");
}

__attribute__((noinline)) void unhandled_tell(struct native_frame native)
{
    struct segue_regs regs;
    struct segue_fault fault;
    fault_get_registers(native.context, &regs);
    frame_get_fault(native, &fault);
    segue_debug_unhandled(&fault, &regs);
}
