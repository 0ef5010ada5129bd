/* entry_i386.S: what must not change registers. */
#include <cet.h>

        .text

/* FreeBSD's signal trampoline. At esp is the frame: four arguments, the handler's address, and from 32 on the
 * context. */
        .globl  loader_sigcode
        .type   loader_sigcode, @function
loader_sigcode:
        call    *16(%esp)
        leal    32(%esp), %eax
        pushl   %eax
        .globl  loader_restore
loader_restore:
        ud2
        .size   loader_sigcode, . - loader_sigcode

/* The context. */
        .globl  loader_sigreturn
        .type   loader_sigreturn, @function
loader_sigreturn:
        movl    4(%esp), %eax
        jmp     loader_restore
        .size   loader_sigreturn, . - loader_sigreturn

        .section .note.GNU-stack, "", @progbits
