/* thunk_x86_64.S: what bodies call: the policy, and the lookup of other regions (see body.h).
 *
 *      body's rsp            ->  +184   the body's frame (layout.h)
 *                                +176   return address, in the body
 *      rbp, from body_saved        +0   struct segue_regs
 *        to body_leaving           -8   the application's flags
 *                                 -12   the verdict, while vector state is loaded
 *      rsp                              vector state, if it is saved, aligned to 64 bytes; else aligned to 16
 *
 * A thread is put back into the body from any instruction, except from body_called to body_restored, where the vector
 * registers are the policy's. Until body_saved, and from body_closed to body_aside, its
 * registers are the body's; elsewhere those that the thunk uses are in its frame, and stay there.
 *
 * Between body_saved and body_answered the direction and alignment flags may not be the application's.
 *
 *      CF on return: set if the policy answered 0 (SEGUE_STEP); if the lookup has stored an alias's address
 *
 * All instructions but those that save vector state leave vector, x87 and mask registers alone. */
#if !defined(__x86_64__)
#error "thunk_x86_64.S is specific to x86-64"
#endif

#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "platform/asm.h"

#include "layout.h"

/* Where the body's frame is, from rbp. */
#define BODY_AT (THUNK_FRAME + 8)
#define VERDICT_AT -12
#define CALL_AT (BODY_AT + BODY_CALL)
#define UNWANTED_FLAGS (FLAG_DIRECTION | FLAG_ALIGNMENT)
#define OVERFLOW_SHIFT 11

        .text

/* The registers that a call may change, and RBP, but not RAX, which the body has in its slot; those that it does not
 * change. */
.macro EACH_CHANGED action
        \action %rcx, 16
        \action %rdx, 24
        \action %rsi, 32
        \action %rdi, 40
        \action %rbp, 48
        \action %r8, 64
        \action %r9, 72
        \action %r10, 80
        \action %r11, 88
.endm
.macro EACH_KEPT action
        \action %rbx, 8
        \action %r12, 96
        \action %r13, 104
        \action %r14, 112
        \action %r15, 120
.endm
.macro SAVE register, place
        movq    \register, \place(%rsp)
        .cfi_rel_offset \register, \place
.endm
.macro SHOW register, place
        movq    \register, \place(%rsp)
.endm
.macro LOAD register, place
        .ifnc   \register, %rbp
        movq    \place(%rbp), \register
        .cfi_restore \register
        .endif
.endm

/* The application's registers in the frame: RAX, the scratch register and the flags are in the body's slots. (Mach-O's
 * assembler would take a constant for an argument in a macro that has none of its own.) */
.macro SHOW_REGISTERS overflow_shift
        movq    BODY_AT + BODY_RAX(%rbp), %rax
        movq    %rax, (%rbp)
        movl    BODY_AT + BODY_NUMBER(%rbp), %ecx
        movq    BODY_AT + BODY_SCRATCH(%rbp), %rax
        movq    %rax, (%rbp, %rcx, 8)
        leaq    BODY_AT + BODY_FRAME(%rbp), %rax
        movq    %rax, THUNK_RSP(%rbp)
        movq    -THUNK_FLAGS(%rbp), %rax
        andq    $~FLAGS_ARITHMETIC, %rax
        movzbl  BODY_AT + BODY_FLAGS + 1(%rbp), %ecx
        andl    $(FLAGS_ARITHMETIC & 0xff), %ecx
        orq     %rcx, %rax
        movzbl  BODY_AT + BODY_FLAGS(%rbp), %ecx
        shll    $\overflow_shift, %ecx
        orq     %rcx, %rax
        movq    %rax, THUNK_RFLAGS(%rbp)
        xorl    %eax, %eax
        movq    %rax, THUNK_RIP(%rbp)
        .irp    place, 8, 16, 24, 32
        movq    %rax, THUNK_RFLAGS + \place(%rbp)
        .endr
.endm

.macro SAVE_VECTORS
        subq    C(body_vector_size)(%rip), %rsp
        andq    $-XSAVE_ALIGNMENT, %rsp
        xorl    %eax, %eax
        .irp    place, 0, 8, 16, 24, 32, 40, 48, 56
        movq    %rax, XSAVE_XSTATE_BV + \place(%rsp)
        .endr
        movl    C(body_vector_components)(%rip), %eax
        xorl    %edx, %edx
        xsavec64 (%rsp)
.endm

.macro LOAD_VECTORS
        movl    C(body_vector_components)(%rip), %eax
        xorl    %edx, %edx
        xrstor64 (%rsp)
.endm

/* body_begin_NAME: calls body_ask. */
.macro ASK name, shows, vectors
        .p2align 4
FUNCTION(body_begin_\name)
        .cfi_startproc
        _CET_ENDBR
        leaq    -THUNK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset THUNK_FRAME
LABEL(body_open_\name)
        EACH_CHANGED SAVE
        .if     \shows
        EACH_KEPT SHOW
        .endif
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
LABEL(body_saved_\name)
        .cfi_remember_state
        pushfq
        testl   $UNWANTED_FLAGS, (%rsp)
        jnz     5f
1:
        .if     \shows
        SHOW_REGISTERS OVERFLOW_SHIFT
        movq    %rbp, CALL_AT + CALL_REGS(%rbp)
        .else
        movq    $0, CALL_AT + CALL_REGS(%rbp)
        .endif
        .if     \vectors
        subq    $8, %rsp
        SAVE_VECTORS
        .else
        andq    $-16, %rsp
        .endif
2:
        leaq    CALL_AT(%rbp), %rdi
        call    *C(body_ask)(%rip)
LABEL(body_called_\name)
        .if     \vectors
        movl    %eax, VERDICT_AT(%rbp)
        LOAD_VECTORS
LABEL(body_restored_\name)
        movl    VERDICT_AT(%rbp), %eax
        .else
LABEL(body_restored_\name)
        .endif
        movq    CALL_AT + CALL_WATCH(%rbp), %rcx
        movq    (%rcx), %rcx
        cmpq    CALL_AT + CALL_WATCHED(%rbp), %rcx
        jne     2b
        testl   $UNWANTED_FLAGS, -THUNK_FLAGS(%rbp)
        jnz     6f
3:
LABEL(body_answered_\name)
        cmpl    $1, %eax
        movq    %rbp, %rsp
        EACH_CHANGED LOAD
LABEL(body_leaving_\name)
        .cfi_def_cfa_register %rsp
        movq    THUNK_RBP(%rsp), %rbp
        .cfi_restore %rbp
        leaq    THUNK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset -THUNK_FRAME
LABEL(body_closed_\name)
        ret

/* C code wants the direction flag clear, and may access memory that is not aligned. */
LABEL(body_aside_\name)
        .cfi_restore_state
5:
        movq    (%rsp), %rax
        andq    $~UNWANTED_FLAGS, %rax
        pushq   %rax
        popfq
        jmp     1b
6:
        pushq   -THUNK_FLAGS(%rbp)
        popfq
        jmp     3b
        .cfi_endproc
        END(body_begin_\name)
LABEL(body_end_\name)
.endm

        ASK     ask, 0, 0
        ASK     ask_vectors, 0, 1
        ASK     ask_regs, 1, 0
        ASK     ask_regs_vectors, 1, 1

/* body_begin_lookup: the alias of the address in BODY_ADDRESS, for an access of the size in BODY_ARGUMENT.
 *
 *      rdi     the address                     rdx     the entry that may contain it
 *      esi     the table's sequence            rcx     the number of entries from there on
 *
 * RAX is the body's.
 */
        .p2align 4
FUNCTION(body_begin_lookup)
        .cfi_startproc
        _CET_ENDBR
        leaq    -THUNK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset THUNK_FRAME
LABEL(body_open_lookup)
        EACH_CHANGED SAVE
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
LABEL(body_saved_lookup)
LABEL(body_called_lookup)
LABEL(body_restored_lookup)
LABEL(body_answered_lookup)
        movq    BODY_AT + BODY_ADDRESS(%rbp), %rdi
        movl    C(body_regions) + REGIONS_SEQUENCE(%rip), %esi
        testl   $1, %esi
        jnz     4f
        movl    C(body_regions) + REGIONS_COUNT(%rip), %ecx
        leaq    C(body_regions) + REGIONS_FIRST(%rip), %rdx
        /* The last entry that does not begin after the address: the half above is taken or left without a branch. */
1:
        cmpq    $1, %rcx
        jbe     2f
        movq    %rcx, %r9
        shrq    $1, %r9
        movq    %r9, %r8
        shlq    $ENTRY_SHIFT, %r8
        addq    %rdx, %r8
        cmpq    ENTRY_BASE(%r8), %rdi
        cmovaeq %r8, %rdx
        subq    %r9, %rcx
        jmp     1b
2:
        testq   %rcx, %rcx
        jz      4f
        movq    %rdi, %r9
        subq    ENTRY_BASE(%rdx), %r9
        jb      4f
        movq    ENTRY_SIZE(%rdx), %rcx
        movl    BODY_AT + BODY_ARGUMENT(%rbp), %r8d
        subq    %r8, %rcx
        jb      4f
        cmpq    %rcx, %r9
        ja      4f
        addq    ENTRY_DISTANCE(%rdx), %rdi
        cmpl    C(body_regions) + REGIONS_SEQUENCE(%rip), %esi
        jne     4f
        movq    %rdi, BODY_AT + BODY_ADDRESS(%rbp)
        stc
        jmp     3f
4:
        clc
3:
        EACH_CHANGED LOAD
LABEL(body_leaving_lookup)
        .cfi_def_cfa_register %rsp
        movq    THUNK_RBP(%rsp), %rbp
        .cfi_restore %rbp
        leaq    THUNK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset -THUNK_FRAME
LABEL(body_closed_lookup)
        ret
        .cfi_endproc
        END(body_begin_lookup)
LABEL(body_aside_lookup)
LABEL(body_end_lookup)

        END_OF_FILE
