/* ctx_guest_x86_64.S: guests' code. It reaches its data without any register, as a guest that has them all random
 * must. */
#include "decode/x86/registers.h"

.macro NOTE register, place
        movq    \register, state_regs + \place(%rip)
.endm

        .section .bss
        .globl  guest_entry
guest_entry:
        .zero   8
        .text

/* Notes all there is, puts it back and calls; and spoils the area that it is to be stored to. */
        .globl  guest_dump, guest_dump_called
guest_dump:
        endbr64
        EACH_REGISTER NOTE
        NOTE    %rsp, 56
        leaq    state_regs+144(%rip), %rsp
        pushfq
        movl    $0xe7, %eax
        xorl    %edx, %edx
        xsave64 state_area(%rip)
        cmpb    $0, guest_may_read_bases(%rip)
        je      1f
        rdfsbase %rax
        movq    %rax, state_regs+144(%rip)
        rdgsbase %rax
        movq    %rax, state_regs+152(%rip)
        /* What is stored in the guest's area is to be seen, not what was loaded from there. */
1:      cld
        movl    $0xa5, %eax
        movl    $512, %ecx
        movq    guest_area(%rip), %rdi
        rep stosb
        xorl    %eax, %eax
        movl    $64, %ecx
        rep stosb
        movl    $0xa5, %eax
        movl    guest_area_size(%rip), %ecx
        subl    $576, %ecx
        rep stosb
        leaq    state_regs+136(%rip), %rsp
        popfq
        movq    state_regs+0(%rip), %rax
        movq    state_regs+16(%rip), %rcx
        movq    state_regs+24(%rip), %rdx
        movq    state_regs+40(%rip), %rdi
        movq    state_regs+56(%rip), %rsp
        call    *guest_entry(%rip)
guest_dump_called:
        ud2

        .section .bss
        .globl  guest_may_read_bases, guest_area, guest_area_size
guest_area:
        .zero   8
guest_area_size:
        .zero   4
guest_may_read_bases:
        .zero   1
        .text

/* trapframe-rs's: pushes all registers, adds ten to each, and calls. */
        .globl  dump_registers
dump_registers:
        endbr64
        pushq   %r15
        pushq   %r14
        pushq   %r13
        pushq   %r12
        pushq   %r11
        pushq   %r10
        pushq   %r9
        pushq   %r8
        pushq   %rsp
        pushq   %rbp
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rbx
        pushq   %rax
        addq    $10, %rax
        addq    $10, %rbx
        addq    $10, %rcx
        addq    $10, %rdx
        addq    $10, %rsi
        addq    $10, %rdi
        addq    $10, %rbp
        addq    $10, %r8
        addq    $10, %r9
        addq    $10, %r10
        addq    $10, %r11
        addq    $10, %r12
        addq    $10, %r13
        addq    $10, %r14
        addq    $10, %r15
        call    *guest_entry(%rip)

        .globl  guest_call, guest_called
guest_call:
        endbr64
        call    *guest_entry(%rip)
guest_called:
        jmp     guest_call

/* Counts in rcx, copying it to r8 by way of a vector register; the two differ by at most one at any instruction. */
        .globl  guest_count
guest_count:
        endbr64
1:      incq    %rcx
        movq    %rcx, %xmm7
        movq    %xmm7, %r8
        jmp     1b

        .globl  guest_undefined, guest_breakpoint, guest_divide, guest_load, guest_store, guest_jump, guest_load_fs
        .globl  guest_load_gs, guest_clobber, guest_nops, guest_set_bases
guest_undefined:
        ud2
guest_breakpoint:
        int3
guest_divide:
        divq    %rcx
guest_load:
        movq    (%rbx), %rax
guest_store:
        movq    %rax, (%rbx)
guest_jump:
        jmp     *%rbx
guest_load_fs:
        movq    %fs:16, %rax
        call    *guest_entry(%rip)
guest_load_gs:
        movq    %gs:16, %rax
        call    *guest_entry(%rip)
guest_nops:
        nop
        nop
        nop
        call    *guest_entry(%rip)
guest_set_bases:
        wrfsbase %rax
        wrgsbase %rbx
        call    *guest_entry(%rip)

/* Something in every vector and x87 register that the processor has, with an exception that waits. */
        .globl  guest_dirty
guest_dirty:
        endbr64
        movl    $1, %eax
        xorl    %edx, %edx
        xrstor64 dirty_area(%rip)
        pcmpeqd %xmm0, %xmm0
        pcmpeqd %xmm15, %xmm15
        fldcw   clobbering_x87(%rip)
        fld1
        fldz
        fdivrp
        call    *guest_entry(%rip)
        .data
        .p2align 6
dirty_area:
        .short  0x37f
        .zero   30
        .fill   16, 8, 0x3f3f3f
        .zero   352
        .quad   1
        .zero   56
        .text

/* All that a host would trip over: the direction flag, alignment checks, a full x87 stack with an exception that
 * waits, all
 * of MXCSR. */
guest_clobber:
        fld1
        fld1
        fld1
        fld1
        fld1
        fld1
        fld1
        fldz
        fld1
        fdivp
        ldmxcsr clobbering_mxcsr(%rip)
        fldcw   clobbering_x87(%rip)
        std
        pushfq
        orq     $0x40000, (%rsp)
        popfq
        call    *guest_entry(%rip)
        .section .rodata
clobbering_mxcsr:
        .long   0xffc0
clobbering_x87:
        .short  0x0f40

        .section .note.GNU-stack, "", @progbits
