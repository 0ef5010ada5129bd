/* restorer_x86_64.S: where handlers return to, their `ret` having taken pretcode off the kernel's frame:
 *
 *      rsp ->  ucontext, at a multiple of 16
 *
 * gdb and libgcc would know restorer_plain by its bytes,
 * libunwind 1.6 does not: there is a table for both. */
#include <cet.h>

#include "platform/linux/frame_cfi_x86_64.h"

#define SYS_RT_SIGRETURN 15

.macro CFI_FRAME
        .cfi_signal_frame
        CFI_UCONTEXT 0
.endm

        .section .text.restorer_plain, "ax", @progbits
        .globl  restorer_plain
        .hidden restorer_plain
        .type   restorer_plain, @function
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        /* Unwinders look a return address up one byte before it. */
        nop
restorer_plain:
        movq    $SYS_RT_SIGRETURN, %rax
        syscall
        .cfi_endproc
        .size   restorer_plain, . - restorer_plain

        .section .text.restorer_of_relay, "ax", @progbits
        .globl  restorer_of_relay
        .hidden restorer_of_relay
        .type   restorer_of_relay, @function
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        nop
restorer_of_relay:
        movq    %rsp, %rdi
        call    restorer_return
        movl    $SYS_RT_SIGRETURN, %eax
        syscall
        .cfi_endproc
        .size   restorer_of_relay, . - restorer_of_relay

        .section .note.GNU-stack, "", @progbits
