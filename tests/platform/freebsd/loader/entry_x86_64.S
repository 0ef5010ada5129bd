/* entry_x86_64.S: what must not change registers. */
#include <cet.h>

        .text

/* FreeBSD's signal trampoline. At rsp is the frame: the handler's address, and from 16 on the context; the arguments
 * are in rdi, rsi, rdx and rcx. */
        .globl  loader_sigcode
        .type   loader_sigcode, @function
loader_sigcode:
        call    *(%rsp)
        leaq    16(%rsp), %rdi
        pushq   $0
        .globl  loader_restore
loader_restore:
        ud2
        .size   loader_sigcode, . - loader_sigcode

/* rdi: the context. */
        .globl  loader_sigreturn
        .type   loader_sigreturn, @function
loader_sigreturn:
        jmp     loader_restore
        .size   loader_sigreturn, . - loader_sigreturn

        .section .note.GNU-stack, "", @progbits
