/* ctx_state_x86_64.S: notes the whole state it is jumped to with, in memory that it reaches without any register. */
#include "decode/x86/registers.h"

.macro NOTE register, place
        movq    \register, state_regs + \place(%rip)
.endm

        .section .bss
        .globl  state_regs, state_area
        .p2align 6
state_area:
        .zero   4096
state_regs:
        .zero   160
        .zero   65536
own_stack:

        .text
        .weak   state_dumped
        .globl  state_dump
        .type   state_dump, @function
state_dump:
        endbr64
        EACH_REGISTER NOTE
        NOTE    %rsp, 56
        leaq    own_stack(%rip), %rsp
        pushfq
        popq    state_regs+136(%rip)
        cld
        movl    $0xe7, %eax
        xorl    %edx, %edx
        leaq    state_area(%rip), %rdi
        xsave64 (%rdi)
        call    state_dumped
        ud2
        .size   state_dump, . - state_dump

        .section .note.GNU-stack, "", @progbits
