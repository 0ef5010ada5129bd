/* leave_x86_64.S: the last instructions of the handler: they set the selector that the C code chose, and call
 * rt_sigreturn. A template: its copy is at an address where system calls are never trapped (exempt.h).
 *
 *      rbx block, rsp ucontext, rdx selector */
#include "tools/run/host/layout.h"

#define SYS_RT_SIGRETURN 15

        .section .text.run_leave, "ax", @progbits
        .globl  run_leave, run_leave_end
        .hidden run_leave, run_leave_end
run_leave:
        movb    %dl, THREAD_SELECTOR(%rbx)
        movl    $SYS_RT_SIGRETURN, %eax
        syscall
        ud2
run_leave_end:

        .section .note.GNU-stack, "", @progbits
