/* static_begin_x86_64.S: a program begins, with the registers that the kernel gives it.
 *
 *      ARG1    its entry       ARG2    its stack pointer: the number of its arguments is there */
#include "platform/asm.h"

        SECTION_TEXT(static_enter)
        FUNCTION(static_enter)
        .cfi_startproc
        .cfi_undefined rip
        _CET_ENDBR
        movq    ARG2, %rsp
        pushq   ARG1
        .irp    register, eax, ebx, ecx, edx, esi, edi, ebp, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
        xorl    %\register, %\register
        .endr
        leaq    8(%rsp), %rsp
        jmp     *-8(%rsp)
        .cfi_endproc
        END(static_enter)

        END_OF_FILE
