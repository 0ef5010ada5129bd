/* context_x86_64.S: the first and last instructions of a context, and resuming one without saving another.
 *
 * A context's stack while its entry runs:
 *
 *      end of the stack (a multiple of 16)
 *      ~ 0 to 15 bytes
 *      struct record                   <- rbp at bootstrap; the frame pointers end here
 *          + 16  context
 *          + 24  entry
 *          + 32  rdi rsi rdx rcx r8 r9
 *          + 80  xmm0 .. xmm7 (64 bits each)
 *          +144  how many of those
 *      ~ padding to 16
 *      last argument that did not fit the registers
 *      ~
 *      first of those                  <- rsp at bootstrap, a multiple of 16
 *      return address, inside context_bootstrap
 *
 * Unwinding: the caller of a context's first frame is at `caller` in struct segue_context:
 * rbp -> record -> context -> caller -> stack pointer (our CFA), frame pointer, instruction. Those are expressions in
 * DWARF's stack language:
 *
 *      context     DW_OP_breg6 16, DW_OP_deref                     0x76 16 0x06
 *      caller      DW_OP_plus_uconst CONTEXT_CALLER, DW_OP_deref   0x23 48 0x06
 *      CFA         context caller DW_OP_deref                      0x06                    (stack_pointer is the first)
 *      rbp at      context caller DW_OP_plus_uconst 8              0x23 8
 *      rip at      context caller DW_OP_plus_uconst 16             0x23 16
 *
 * .cfi_signal_frame: the two stacks may lie in any order, which gdb accepts only for signal frames.
 */
#if !defined(__x86_64__)
#error "context_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"

#define CALLER 0x76, RECORD_CONTEXT, 0x06, 0x23, CONTEXT_CALLER, 0x06

.macro CFI_CALLER
        SIGNAL_FRAME
        /* DW_CFA_def_cfa_expression, 7 bytes */
        .cfi_escape 0x0f, 7, CALLER, 0x06
        /* DW_CFA_expression of rbp (6), 8 bytes; of rip (16), 8 bytes */
        .cfi_escape 0x10, 6, 8, CALLER, 0x23, CONTEXT_FRAME_POINTER
        .cfi_escape 0x10, 16, 8, CALLER, 0x23, CONTEXT_INSTRUCTION
        .cfi_undefined %rbx
        .cfi_undefined %r12
        .cfi_undefined %r13
        .cfi_undefined %r14
        .cfi_undefined %r15
.endm

        SECTION_TEXT(context_bootstrap)

/* context_bootstrap: rbp and rsp as above. An exception that arrives here cannot go on: context_personality rejects
 * it. */
        .p2align 4
ATOM(context_bootstrap_region)
        .cfi_startproc
        PERSONALITY(context_personality)
        CFI_CALLER
        nop                             /* a caller's frame is looked up one byte before its return address */
LABEL_FUNCTION(context_bootstrap)
        _CET_ENDBR
        movq    RECORD_CONTEXT(%rbp), %rdi
        call    C(context_entered)
        movq    RECORD_INTEGERS+0(%rbp), %rdi
        movq    RECORD_INTEGERS+8(%rbp), %rsi
        movq    RECORD_INTEGERS+16(%rbp), %rdx
        movq    RECORD_INTEGERS+24(%rbp), %rcx
        movq    RECORD_INTEGERS+32(%rbp), %r8
        movq    RECORD_INTEGERS+40(%rbp), %r9
        movq    RECORD_VECTORS+0(%rbp), %xmm0
        movq    RECORD_VECTORS+8(%rbp), %xmm1
        movq    RECORD_VECTORS+16(%rbp), %xmm2
        movq    RECORD_VECTORS+24(%rbp), %xmm3
        movq    RECORD_VECTORS+32(%rbp), %xmm4
        movq    RECORD_VECTORS+40(%rbp), %xmm5
        movq    RECORD_VECTORS+48(%rbp), %xmm6
        movq    RECORD_VECTORS+56(%rbp), %xmm7
        movq    RECORD_VECTOR_COUNT(%rbp), %rax
        call    *RECORD_ENTRY(%rbp)
        movq    RECORD_CONTEXT(%rbp), %rdi
        movq    %rax, CONTEXT_RAX(%rdi)
        movq    %rdx, CONTEXT_RDX(%rdi)
        movups  %xmm0, CONTEXT_XMM0(%rdi)
        movups  %xmm1, CONTEXT_XMM1(%rdi)
        call    C(context_left)
        movq    %rax, %rdi
        call    C(context_load)            /* does not return; a call, so that the frame it leaves is this one */
        ud2
        .cfi_endproc
        END(context_bootstrap)

/* context_load (rdi to): the loading half of the swap in ctx.h. Touches only the stack that it switches to. */
        SECTION_TEXT(context_load)
        .p2align 4
FUNCTION(context_load)
        .cfi_startproc
LABEL(context_take)
        _CET_ENDBR
        testb   $CONTEXT_FIXED_CONTROL, CONTEXT_FLAGS(%rdi)
        jnz     1f
        fldcw   CONTEXT_X87_CONTROL(%rdi)
        ldmxcsr CONTEXT_MXCSR(%rdi)
1:      movq    CONTEXT_INSTRUCTION(%rdi), %rax
        movq    CONTEXT_FRAME_POINTER(%rdi), %rdx
        movq    CONTEXT_STACK_POINTER(%rdi), %rsp
        .cfi_def_cfa %rsp, 0
        .cfi_register %rip, %rax
        .cfi_register %rbp, %rdx
        .cfi_undefined %rbx
        .cfi_undefined %r12
        .cfi_undefined %r13
        .cfi_undefined %r14
        .cfi_undefined %r15
        movq    %rdx, %rbp
        .cfi_same_value %rbp
        jmp     *%rax
        .cfi_endproc
        END(context_load)

/* context_orphan: the resume address of a context that must not resume. */
        SECTION_TEXT(context_orphan)
        .p2align 4
ATOM(context_orphan_region)
        .cfi_startproc
        .cfi_undefined %rip
        nop
LABEL_FUNCTION(context_orphan)
        _CET_ENDBR
        ud2
        .cfi_endproc
        END(context_orphan)

        END_OF_FILE
