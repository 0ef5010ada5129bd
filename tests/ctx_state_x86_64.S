/* ctx_state_x86_64.S: notes the whole state it is jumped to with, in memory that it reaches without any register. */
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
        movq    %rax, state_regs+0(%rip)
        movq    %rbx, state_regs+8(%rip)
        movq    %rcx, state_regs+16(%rip)
        movq    %rdx, state_regs+24(%rip)
        movq    %rsi, state_regs+32(%rip)
        movq    %rdi, state_regs+40(%rip)
        movq    %rbp, state_regs+48(%rip)
        movq    %rsp, state_regs+56(%rip)
        movq    %r8, state_regs+64(%rip)
        movq    %r9, state_regs+72(%rip)
        movq    %r10, state_regs+80(%rip)
        movq    %r11, state_regs+88(%rip)
        movq    %r12, state_regs+96(%rip)
        movq    %r13, state_regs+104(%rip)
        movq    %r14, state_regs+112(%rip)
        movq    %r15, state_regs+120(%rip)
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
