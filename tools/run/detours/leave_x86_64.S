/* leave_x86_64.S: the last instructions of the handler: they set the selector that the C code chose, and return from
 * the signal. A template: its copy is at an address where system calls are never trapped (exempt.h).
 *
 *      rbx block, rsp ucontext, rdx selector */
#include "platform/asm_calls.h"
#include "tools/run/host/layout.h"

        .section .text.run_leave, "ax", @progbits
        .globl  run_leave, run_leave_end
        .hidden run_leave, run_leave_end
run_leave:
        movb    %dl, THREAD_SELECTOR(%rbx)
        RETURN_FROM_SIGNAL
        ud2
run_leave_end:

        .section .note.GNU-stack, "", @progbits
