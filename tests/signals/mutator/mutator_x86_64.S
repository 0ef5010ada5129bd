/* mutator_x86_64.S: runs one instruction, a wait, or a call with every register as an image has it (mutator.h). */
#include "mutator.h"

        .section .bss
        .globl  lone_context, lone_area, lone_area_size
        .p2align 3
lone_context:   .zero 8
lone_area:      .zero 8
lone_area_size: .zero 8
        .globl  lone_jump_buffer
lone_jump_buffer: .zero LONE_JUMP_BUFFER

        .text

/* (rdi image, rsi XSAVE area, rdx components): from here to UNLOAD all registers but rsp are the image's. */
.macro LOAD
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        subq    $8, %rsp
        /* No components: the processor has no XSAVE, and the area is FXSAVE's. */
        movq    %rdx, %rax
        movq    %rdx, lone_components(%rip)
        testq   %rdx, %rdx
        jz      2f
        shrq    $32, %rdx
        xrstor64 (%rsi)
        jmp     3f
2:      fxrstor64 (%rsi)
3:
        /* What an earlier run has left in the red zone is not to be found. */
        movq    $-16, %rcx
1:      movq    $0, (%rsp, %rcx, 8)
        incq    %rcx
        jnz     1b
        movq    IMAGE_RED_ZONE(%rdi), %rax
        movq    IMAGE_RED_OFFSET(%rdi), %rcx
        movq    %rax, (%rsp, %rcx)
        movq    0(%rdi), %rax
        movq    8(%rdi), %rbx
        movq    16(%rdi), %rcx
        movq    24(%rdi), %rdx
        movq    32(%rdi), %rsi
        movq    48(%rdi), %rbp
        movq    64(%rdi), %r8
        movq    72(%rdi), %r9
        movq    80(%rdi), %r10
        movq    88(%rdi), %r11
        movq    96(%rdi), %r12
        movq    104(%rdi), %r13
        movq    112(%rdi), %r14
        movq    120(%rdi), %r15
        movq    40(%rdi), %rdi
.endm

.macro UNLOAD
        cld
        fninit
        ldmxcsr default_mxcsr(%rip)
        testb   $4, lone_components(%rip)
        jz      4f
        vzeroupper
4:
        addq    $8, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
.endm

default_mxcsr:  .long 0x1f80
        .local  lone_components
        .comm   lone_components, 8, 8

        .globl  lone_fault, lone_fault_instruction
        .type   lone_fault, @function
lone_fault:
        LOAD
lone_fault_instruction:
        cmpb    $0, LONE_CLOSED
        .if     . - lone_fault_instruction != LONE_FAULT_LENGTH
        .error  "LONE_FAULT_LENGTH"
        .endif
        UNLOAD
        .size   lone_fault, . - lone_fault

        .globl  lone_wait
        .type   lone_wait, @function
lone_wait:
        LOAD
        movb    $1, LONE_READY
1:      pause
        cmpb    $0, LONE_GO
        je      1b
        UNLOAD
        .size   lone_wait, . - lone_wait

        .globl  lone_capture
        .type   lone_capture, @function
lone_capture:
        LOAD
        movq    lone_context(%rip), %rdi
        movq    lone_area(%rip), %rsi
        movq    lone_area_size(%rip), %rdx
        call    segue_mutator_capture
        UNLOAD
        .size   lone_capture, . - lone_capture

        .globl  lone_setjmp
        .type   lone_setjmp, @function
lone_setjmp:
        LOAD
        leaq    lone_jump_buffer(%rip), %rdi
        call    _setjmp@PLT
        UNLOAD
        .size   lone_setjmp, . - lone_setjmp

        .globl  traced_entry
        .type   traced_entry, @function
/* As the kernel calls a handler: goes on at the library's entry, one trap for each instruction. */
traced_entry:
        pushfq
        orq     $0x100, (%rsp)
        popfq
        jmp     signal_entry
        .size   traced_entry, . - traced_entry

        .section .note.GNU-stack, "", @progbits
