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

/* FreeBSD's jmp_buf has 12 words. */
        .globl  loader_setjmp
        .type   loader_setjmp, @function
loader_setjmp:
        _CET_ENDBR
        movl    4(%esp), %eax
        movl    %ebx, (%eax)
        movl    %ebp, 4(%eax)
        movl    %esi, 8(%eax)
        movl    %edi, 12(%eax)
        leal    4(%esp), %ecx
        movl    %ecx, 16(%eax)
        movl    (%esp), %ecx
        movl    %ecx, 20(%eax)
        addl    $24, %eax
        subl    $8, %esp
        pushl   %eax
        call    setjmp_note
        addl    $12, %esp
        xorl    %eax, %eax
        ret
        .size   loader_setjmp, . - loader_setjmp

        .globl  loader_longjmp
        .type   loader_longjmp, @function
loader_longjmp:
        _CET_ENDBR
        movl    4(%esp), %eax
        addl    $24, %eax
        subl    $8, %esp
        pushl   %eax
        call    longjmp_note
        addl    $12, %esp
        movl    4(%esp), %ecx
        movl    8(%esp), %eax
        movl    (%ecx), %ebx
        movl    4(%ecx), %ebp
        movl    8(%ecx), %esi
        movl    12(%ecx), %edi
        movl    16(%ecx), %esp
        testl   %eax, %eax
        jne     1f
        incl    %eax
1:      jmp     *20(%ecx)
        .size   loader_longjmp, . - loader_longjmp

        .section .note.GNU-stack, "", @progbits
