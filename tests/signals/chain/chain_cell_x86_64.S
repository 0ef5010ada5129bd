/* chain_cell_x86_64.S: faults with every register known, and the first instructions of a handler.
 *
 * Each fault is a function of one argument, the address that it accesses; all registers but RSP and RCX, which has that
 * address, hold a pattern when it happens. cell_resume leads back to whoever called it, from wherever.
 */

.macro PATTERNS
        movq    %rdi, %rcx
        movq    $0x0a0a0a0a0a0a0a0a, %rax
        movq    $0x0b0b0b0b0b0b0b0b, %rbx
        movq    $0x0d0d0d0d0d0d0d0d, %rdx
        movq    $0x5151515151515151, %rsi
        movq    $0xd1d1d1d1d1d1d1d1, %rdi
        movq    $0x0808080808080808, %r8
        movq    $0x0909090909090909, %r9
        movq    $0x1010101010101010, %r10
        movq    $0x1111111111111111, %r11
        movq    $0x1212121212121212, %r12
        movq    $0x1313131313131313, %r13
        movq    $0x1414141414141414, %r14
        movq    $0x1515151515151515, %r15
        movq    %rax, %xmm0
        movq    %r15, %xmm15
        ldmxcsr cell_mxcsr(%rip)
        fldcw   cell_x87(%rip)
        pushq   $0xcd7
        popfq
.endm

.macro FAULT name
        .globl  cell_\name
        .type   cell_\name, @function
cell_\name:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        .cfi_offset %rbx, -24
        .cfi_offset %r12, -32
        .cfi_offset %r13, -40
        .cfi_offset %r14, -48
        .cfi_offset %r15, -56
        movq    %rsp, cell_stack_pointer(%rip)
        PATTERNS
.endm

.macro END name
        jmp     cell_resume
        .cfi_endproc
        .size   cell_\name, . - cell_\name
.endm

        .text

FAULT load
        movq    (%rcx), %rax
END load

FAULT store
        movq    %rax, (%rcx)
END store

FAULT jump
        jmp     *%rcx
END jump

FAULT call
        call    *%rcx
END call

FAULT misaligned
        movaps  1(%rcx), %xmm1
END misaligned

FAULT privileged
        hlt
END privileged

FAULT divide
        xorl    %edx, %edx
        movl    $7, %eax
        xorl    %ecx, %ecx
        div     %ecx
END divide

/* Alignment checks on: a misaligned access is SIGBUS. */
FAULT alignment
        pushfq
        orl     $0x40000, (%rsp)
        popfq
        movl    1(%rcx), %eax
END alignment

/* Until there is no stack left. */
FAULT overflow
1:      pushq   %rax
        subq    $4088, %rsp
        jmp     1b
END overflow

        .globl  cell_resume
cell_resume:
        pushfq
        cld
        popq    cell_after + 128(%rip)
        movq    %rax, cell_after(%rip)
        movq    %rbx, cell_after + 8(%rip)
        movq    %rcx, cell_after + 16(%rip)
        movq    %rdx, cell_after + 24(%rip)
        movq    %rsi, cell_after + 32(%rip)
        movq    %rdi, cell_after + 40(%rip)
        movq    %rbp, cell_after + 48(%rip)
        movq    %rsp, cell_after + 56(%rip)
        movq    %r8, cell_after + 64(%rip)
        movq    %r9, cell_after + 72(%rip)
        movq    %r10, cell_after + 80(%rip)
        movq    %r11, cell_after + 88(%rip)
        movq    %r12, cell_after + 96(%rip)
        movq    %r13, cell_after + 104(%rip)
        movq    %r14, cell_after + 112(%rip)
        movq    %r15, cell_after + 120(%rip)
        stmxcsr cell_after + 136(%rip)
        fnstcw  cell_after + 140(%rip)
        movq    %xmm15, cell_after + 144(%rip)
        movq    cell_stack_pointer(%rip), %rsp
        ldmxcsr cell_mxcsr_initial(%rip)
        fninit
        pushq   $2
        popfq
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

/* The handler: writes down what it begins with, before any compiled code, and lets that have the flags it needs. */
        .globl  cell_handler
        .type   cell_handler, @function
cell_handler:
        endbr64
        pushfq
        popq    cell_entry + 64(%rip)
        movq    %rsp, cell_entry(%rip)
        movq    %rbx, cell_entry + 8(%rip)
        movq    %rbp, cell_entry + 16(%rip)
        movq    %r8, cell_entry + 24(%rip)
        movq    %r12, cell_entry + 32(%rip)
        movq    %r15, cell_entry + 40(%rip)
        movq    %rax, cell_entry + 48(%rip)
        movq    %r10, cell_entry + 56(%rip)
        stmxcsr cell_entry + 72(%rip)
        fnstcw  cell_entry + 76(%rip)
        pushq   $2
        popfq
        jmp     cell_handle
        .size   cell_handler, . - cell_handler

        .section .rodata
        .p2align 2
cell_mxcsr:
        .long   0x5fa0
cell_mxcsr_initial:
        .long   0x1f80
cell_x87:
        .short  0x0b7f

        .bss
        .p2align 4
        .globl  cell_after, cell_entry, cell_stack_pointer
cell_after:
        .zero   152
cell_entry:
        .zero   80
cell_stack_pointer:
        .zero   8

        .section .note.GNU-stack, "", @progbits
