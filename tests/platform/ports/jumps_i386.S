/* jumps_i386.S: setjmp and longjmp of both systems: see loader.h. */
#include <cet.h>

        .text

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
