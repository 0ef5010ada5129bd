/* context_x86_64.S: contexts by the calling convention of Windows: the swap, the first and last instructions of a
 * context, and resuming one without saving another. The thread's block has the bounds of the stack in use, which the
 * system compares with the stack pointer; a switch exchanges them.
 *
 * A suspended context's stack:
 *
 *      return address of context_switch
 *      rbx rbp rdi rsi r12 r13 r14 r15
 *      8 bytes
 *      xmm15 .. xmm6               <- its stack pointer
 *
 * A new context's stack: as ctx/context/context_x86_64.S says, with room for four arguments below those that are on
 * the stack.
 *
 * SOURCES: Microsoft, "x64 calling convention", "x64 exception handling" (unwind codes; a return address of 0 ends a
 * walk); ReactOS sdk/include/ndk/amd64 (NT_TIB, DeallocationStack). */
#if !defined(__x86_64__)
#error "context_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"

/* In the thread's block. */
#define STACK_BASE 0x08
#define STACK_LIMIT 0x10
#define STACK_WHOLE 0x1478

.macro EACH_VECTOR do
        \do     %xmm6, 0
        \do     %xmm7, 16
        \do     %xmm8, 32
        \do     %xmm9, 48
        \do     %xmm10, 64
        \do     %xmm11, 80
        \do     %xmm12, 96
        \do     %xmm13, 112
        \do     %xmm14, 128
        \do     %xmm15, 144
.endm
.macro SAVE_VECTOR register, place
        movaps  \register, \place(%rsp)
        .seh_savexmm \register, \place
.endm
.macro LOAD_VECTOR register, place
        movaps  \place(%rsp), \register
.endm
.macro PUSH register
        pushq   \register
        .seh_pushreg \register
.endm

/* context_switch (rcx from, rdx to) */
        SECTION_TEXT(context_switch)
        .p2align 4
FUNCTION(context_switch)
        .seh_proc context_switch
        PUSH    %rbx
        PUSH    %rbp
        PUSH    %rdi
        PUSH    %rsi
        PUSH    %r12
        PUSH    %r13
        PUSH    %r14
        PUSH    %r15
        subq    $168, %rsp
        .seh_stackalloc 168
        EACH_VECTOR SAVE_VECTOR
        .seh_endprologue
        testb   $CONTEXT_FIXED_CONTROL, CONTEXT_FLAGS(%rcx)
        jnz     1f
        fnstcw  CONTEXT_X87_CONTROL(%rcx)
        stmxcsr CONTEXT_MXCSR(%rcx)
1:      leaq    LOCAL(resumed)(%rip), %rax
        movq    %rsp, CONTEXT_STACK_POINTER(%rcx)
        movq    %rbp, CONTEXT_FRAME_POINTER(%rcx)
        movq    %rax, CONTEXT_INSTRUCTION(%rcx)
        movq    %gs:STACK_BASE, %rax
        movq    %rax, CONTEXT_BOUNDS(%rcx)
        movq    %gs:STACK_LIMIT, %rax
        movq    %rax, CONTEXT_BOUNDS + 8(%rcx)
        movq    %gs:STACK_WHOLE, %rax
        movq    %rax, CONTEXT_BOUNDS + 16(%rcx)
        movq    %rcx, CONTEXT_PARENT(%rdx)
        cmpq    %rdx, CONTEXT_CALLER(%rcx)
        je      2f
        movq    %rcx, CONTEXT_CALLER(%rdx)
2:      movq    %rdx, %rcx
        jmp     C(context_load)
        /* The state of a context that continues: all registers but these are lost. */
LOCAL_LABEL(resumed)
        EACH_VECTOR LOAD_VECTOR
        addq    $168, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rsi
        popq    %rdi
        popq    %rbp
        popq    %rbx
        ret
        .seh_endproc
        END(context_switch)

/* context_load (rcx to): touches only the stack that it switches to. context_take (rdi to): the same. */
        SECTION_TEXT(context_load)
        .p2align 4
FUNCTION(context_take)
        movq    %rdi, %rcx
FUNCTION(context_load)
        testb   $CONTEXT_FIXED_CONTROL, CONTEXT_FLAGS(%rcx)
        jnz     1f
        fldcw   CONTEXT_X87_CONTROL(%rcx)
        ldmxcsr CONTEXT_MXCSR(%rcx)
1:      movq    CONTEXT_BOUNDS(%rcx), %rax
        movq    %rax, %gs:STACK_BASE
        movq    CONTEXT_BOUNDS + 8(%rcx), %rax
        movq    %rax, %gs:STACK_LIMIT
        movq    CONTEXT_BOUNDS + 16(%rcx), %rax
        movq    %rax, %gs:STACK_WHOLE
        movq    CONTEXT_INSTRUCTION(%rcx), %rax
        movq    CONTEXT_FRAME_POINTER(%rcx), %rbp
        movq    CONTEXT_STACK_POINTER(%rcx), %rsp
        jmp     *%rax
        END(context_load)

/* context_bootstrap: rbp is the record, which begins with two words of 0: the caller's return address. */
        SECTION_TEXT(context_bootstrap)
        .p2align 4
FUNCTION(context_bootstrap)
        .seh_proc context_bootstrap
        .seh_setframe %rbp, 0
        .seh_endprologue
        movq    RECORD_CONTEXT(%rbp), %rcx
        call    C(context_entered)
        movq    RECORD_INTEGERS+0(%rbp), %rcx
        movq    RECORD_INTEGERS+8(%rbp), %rdx
        movq    RECORD_INTEGERS+16(%rbp), %r8
        movq    RECORD_INTEGERS+24(%rbp), %r9
        movq    %rcx, %xmm0
        movq    %rdx, %xmm1
        movq    %r8, %xmm2
        movq    %r9, %xmm3
        call    *RECORD_ENTRY(%rbp)
        movq    RECORD_CONTEXT(%rbp), %rcx
        movq    %rax, CONTEXT_RAX(%rcx)
        movq    %rdx, CONTEXT_RDX(%rcx)
        movups  %xmm0, CONTEXT_XMM0(%rcx)
        movups  %xmm1, CONTEXT_XMM1(%rcx)
        call    C(context_left)
        movq    %rax, %rcx
        call    C(context_load)
        ud2
        .seh_endproc
        END(context_bootstrap)

/* context_orphan: the resume address of a context that must not resume. */
        SECTION_TEXT(context_orphan)
FUNCTION(context_orphan)
        ud2
        END(context_orphan)

        END_OF_FILE
