/* quick_x86_64.S: see quick.h. For each register that may have the address the code is there once, and for each kind of
 * policy.
 *
 *      body's rsp            ->   +80   the body's frame (emulate/body/layout.h)
 *                                 +72   return address, in the body
 *      rbp                    ->   +0   the frame (quick_layout.h)
 *      rsp                              aligned to 16 for the policy
 *
 *      rsi     the asker, which is the policy's event;      rcx     the slot; rdi for a leaf
 *              where a leaf does not look at that, in
 *              the register that had the address
 *      rdx     the record                                   rdi     the address
 *
 * A leaf changes few registers, does not call, and needs no aligned stack: RSP stays as it is, and the few registers
 * are kept in the body's frame.
 *
 * A thread is put back into the body from any instruction, except from `inside` to `answered`, and from `aside` to
 * `refused`: there its asker leads to the return address, it counts as one in the policy, and looks at `attention`
 * afterwards. At `looked` it has looked: it is put back if it has seen nothing there, which the zero flag says. A
 * handler that is asked meanwhile uses an event of its own. */
#if !defined(__x86_64__)
#error "quick_x86_64.S is specific to x86-64"
#endif

#include "decode/x86/flags.h"
#include "emulate/body/layout.h"
#include "platform/asm.h"

#include "quick_layout.h"

#define BODY_AT (QUICK_FRAME + 8)
/* The same of a leaf, from rsp; and where it keeps registers. */
#define LEAF_BODY_AT 8
#define LEAF_AT (LEAF_BODY_AT + BODY_FREE)
/* The registers that a policy may change, except RAX and the one with the address: the body has these in its slots. */
.macro EACH_CHANGED action, except
        .irp    register, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11
        .ifnc   \register, \except
        \action \register
        .endif
        .endr
.endm
.macro SAVE register
        .set    place, PLACE_\register
        movq    %\register, place(%rsp)
        .cfi_rel_offset %\register, place
.endm
.macro LOAD register
        .ifnc   \register, rbp
        .set    place, PLACE_\register
        movq    place(%rbp), %\register
        .cfi_restore %\register
        .endif
.endm
        .set    PLACE_rcx, QUICK_RCX
        .set    PLACE_rdx, QUICK_RDX
        .set    PLACE_rsi, QUICK_RSI
        .set    PLACE_rdi, QUICK_RDI
        .set    PLACE_rbp, QUICK_RBP
        .set    PLACE_r8, QUICK_R8
        .set    PLACE_r9, QUICK_R9
        .set    PLACE_r10, QUICK_R10
        .set    PLACE_r11, QUICK_R11

.macro QUICK scratch
        .p2align 6
FUNCTION(quick_begin_\scratch)
        .cfi_startproc
        _CET_ENDBR
        leaq    -QUICK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset QUICK_FRAME
LABEL(quick_open_\scratch)
        EACH_CHANGED SAVE, \scratch
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
LABEL(quick_saved_\scratch)
        .cfi_remember_state
        .ifnc   \scratch, rdi
        movq    %\scratch, %rdi
        .endif
        movq    %rax, %rdx
        /* The direction flag: LODSB moves RSI that way. */
        movq    %rsp, %rsi
        lodsb
        cmpq    %rsp, %rsi
        jb      9f
        THREAD_LOCAL(thread_self, %rcx)
        movq    TLS_AT(%rcx), %rsi
        testq   %rsi, %rsi
        jz      9f
        cmpq    $0, ASKER_AT(%rsi)
        jne     9f
        movq    RECORD_SLOT(%rdx), %rcx
        leaq    QUICK_FRAME(%rbp), %rax
        movq    %rax, ASKER_AT(%rsi)
LABEL(quick_inside_\scratch)
        movq    %rdi, EVENT_ADDRESS(%rsi)
        addq    SLOT_DISTANCE(%rcx), %rdi
        movq    %rdi, EVENT_AT(%rsi)
        movq    RECORD_EXTENT(%rdx), %rax
        movq    %rax, EVENT_EXTENT(%rsi)
        movq    RECORD_SITE(%rdx), %rax
        movq    %rax, EVENT_SITE(%rsi)
        cmpq    %rcx, EVENT_REGION(%rsi)
        jne     5f
1:
        movq    SLOT_CONTEXT(%rcx), %rdi
        andq    $-16, %rsp
        call    *SLOT_ASKED(%rcx)
        THREAD_LOCAL(thread_self, %rcx)
        movq    TLS_AT(%rcx), %rsi
3:
        cmpl    $0, ASKER_ATTENTION(%rsi)
LABEL(quick_looked_\scratch)
        jne     7f
LABEL(quick_answered_\scratch)
        movq    $0, ASKER_AT(%rsi)
LABEL(quick_left_\scratch)
        cmpl    $1, %eax
        movq    %rbp, %rsp
        EACH_CHANGED LOAD, \scratch
LABEL(quick_leaving_\scratch)
        .cfi_def_cfa_register %rsp
        movq    QUICK_RBP(%rsp), %rbp
        .cfi_restore %rbp
        leaq    QUICK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset -QUICK_FRAME
LABEL(quick_closed_\scratch)
        ret

LABEL(quick_aside_\scratch)
        .cfi_restore_state
5:
        movq    %rcx, EVENT_REGION(%rsi)
        jmp     1b
7:      /* The event is still this question's. */
        xorl    %edi, %edi
        xchgl   %edi, ASKER_ATTENTION(%rsi)
        testl   $ATTENTION_ALIGNMENT, %edi
        jz      8f
        pushfq
        orl     $FLAG_ALIGNMENT, (%rsp)
        popfq
8:
        testl   $ATTENTION_SUSPENDED, %edi
        jz      3b
        movq    EVENT_REGION(%rsi), %rcx
        jmp     1b

LABEL(quick_refused_\scratch)
9:      /* As BODY_THUNK_ASK expects it. */
        movq    %rdx, BODY_AT + BODY_ARGUMENT(%rbp)
        movq    %rdi, BODY_AT + BODY_ADDRESS(%rbp)
        movl    $0, BODY_AT + BODY_MISSED(%rbp)
        EACH_CHANGED LOAD, \scratch
LABEL(quick_refused_leaving_\scratch)
        .cfi_remember_state
        .cfi_def_cfa_register %rsp
        movq    QUICK_RBP(%rsp), %rbp
        .cfi_restore %rbp
        leaq    QUICK_FRAME(%rsp), %rsp
        .cfi_adjust_cfa_offset -QUICK_FRAME
LABEL(quick_refused_closed_\scratch)
        jmpq    *C(quick_otherwise)(%rip)
        .cfi_restore_state
        .cfi_endproc
        END(quick_begin_\scratch)
LABEL(quick_end_\scratch)
.endm

/* The registers that a leaf of the kind may change, except RAX and the one with the address, and those that it is
 * given. */
.macro EACH_OF_one action, except
        .irp    register, rsi, rdi
        \action \register
        .endr
.endm
.macro EACH_OF_three action, except
        .irp    register, rcx, rdx, rsi, rdi
        .ifnc   \register, \except
        \action \register
        .endif
        .endr
.endm
.macro SAVE_OF_LEAF register
        .set    place, LEAF_AT + PLACE_\register
        movq    %\register, place(%rsp)
        .cfi_rel_offset %\register, place
.endm
.macro LOAD_OF_LEAF register
        .set    place, LEAF_AT + PLACE_\register
        movq    place(%rsp), %\register
        .cfi_restore %\register
.endm

.macro EACH_OF_blind action, except
        \action rdi
.endm

.macro SET_ALIGNMENT stack
        pushfq
        .cfi_adjust_cfa_offset 8
        orl     $FLAG_ALIGNMENT, (%\stack)
        popfq
        .cfi_adjust_cfa_offset -8
.endm

.macro GO_ON_AT_THUNK record
        movq    %\record, LEAF_BODY_AT + BODY_ARGUMENT(%rsp)
        movl    $0, LEAF_BODY_AT + BODY_MISSED(%rsp)
        jmpq    *C(quick_otherwise)(%rip)
.endm

.macro QUICK_LEAF kind, scratch
        .p2align 6
FUNCTION(leaf_begin_\kind\()_\scratch)
        .cfi_startproc
        _CET_ENDBR
        EACH_OF_\kind SAVE_OF_LEAF, \scratch
LABEL(leaf_saved_\kind\()_\scratch)
        .cfi_remember_state
        THREAD_LOCAL(thread_self, %rsi)
        movq    TLS_AT(%rsi), %rsi
        testq   %rsi, %rsi
        jz      9f
        cmpq    $0, ASKER_AT(%rsi)
        jne     9f
        movq    RECORD_SLOT(%rax), %rdi
        movq    %rsp, ASKER_AT(%rsi)
LABEL(leaf_inside_\kind\()_\scratch)
        movq    %\scratch, EVENT_ADDRESS(%rsi)
        addq    SLOT_DISTANCE(%rdi), %\scratch
        movq    %\scratch, EVENT_AT(%rsi)
        movq    RECORD_EXTENT(%rax), %\scratch
        movq    %\scratch, EVENT_EXTENT(%rsi)
        movq    RECORD_SITE(%rax), %\scratch
        movq    %\scratch, EVENT_SITE(%rsi)
        cmpq    %rdi, EVENT_REGION(%rsi)
        jne     5f
1:
        movq    SLOT_ASKED(%rdi), %\scratch
        movq    SLOT_CONTEXT(%rdi), %rdi
        call    *%\scratch
3:
        cmpl    $0, ASKER_ATTENTION(%rsi)
LABEL(leaf_looked_\kind\()_\scratch)
        jne     7f
LABEL(leaf_answered_\kind\()_\scratch)
        movq    $0, ASKER_AT(%rsi)
LABEL(leaf_left_\kind\()_\scratch)
        EACH_OF_\kind LOAD_OF_LEAF, \scratch
LABEL(leaf_closed_\kind\()_\scratch)
        cmpl    $1, %eax
        ret

LABEL(leaf_aside_\kind\()_\scratch)
        .cfi_restore_state
        .cfi_remember_state
5:
        movq    %rdi, EVENT_REGION(%rsi)
        jmp     1b
7:      /* The event is still this question's. */
        xorl    %edi, %edi
        xchgl   %edi, ASKER_ATTENTION(%rsi)
        testl   $ATTENTION_ALIGNMENT, %edi
        jz      8f
        SET_ALIGNMENT rsp
8:
        testl   $ATTENTION_SUSPENDED, %edi
        jz      3b
        movq    EVENT_REGION(%rsi), %rdi
        jmp     1b

LABEL(leaf_refused_\kind\()_\scratch)
9:      /* As BODY_THUNK_ASK expects it. */
        EACH_OF_\kind LOAD_OF_LEAF, \scratch
LABEL(leaf_refused_closed_\kind\()_\scratch)
        movq    %\scratch, LEAF_BODY_AT + BODY_ADDRESS(%rsp)
        GO_ON_AT_THUNK rax
        .cfi_restore_state
        .cfi_endproc
        END(leaf_begin_\kind\()_\scratch)
LABEL(leaf_end_\kind\()_\scratch)
.endm

/* Of a leaf that changes RAX alone and does not look at its event: nothing is stored there. If it has to be asked
 * again, the record is found by the body's code: the LEA before the call. */
.macro QUICK_BLIND scratch
        /* The policy returns to the first byte of 64: the processor fetches so many at once. What is before that is
         * longer by some bytes with some registers. */
        .p2align 6
        .set    shorter, 5
        .irp    register, rbp, r13
        .ifc    \scratch, \register
        .set    shorter, 4
        .endif
        .endr
        .ifc    \scratch, r12
        .set    shorter, 2
        .endif
        .skip   shorter, 0xcc
FUNCTION(leaf_begin_blind_\scratch)
        .cfi_startproc
        _CET_ENDBR
        EACH_OF_blind SAVE_OF_LEAF
LABEL(leaf_saved_blind_\scratch)
        .cfi_remember_state
        movq    %\scratch, %rdi
        THREAD_LOCAL(thread_self, %\scratch)
        movq    TLS_AT(%\scratch), %\scratch
        testq   %\scratch, %\scratch
        jz      9f
        cmpq    $0, ASKER_AT(%\scratch)
        jne     9f
        movq    %rsp, ASKER_AT(%\scratch)
LABEL(leaf_inside_blind_\scratch)
1:
        movq    RECORD_SLOT(%rax), %rdi
        movq    SLOT_ASKED(%rdi), %rax
        movq    SLOT_CONTEXT(%rdi), %rdi
        call    *%rax
3:
        cmpl    $0, ASKER_ATTENTION(%\scratch)
LABEL(leaf_looked_blind_\scratch)
        jne     7f
LABEL(leaf_answered_blind_\scratch)
        movq    $0, ASKER_AT(%\scratch)
LABEL(leaf_left_blind_\scratch)
        EACH_OF_blind LOAD_OF_LEAF
LABEL(leaf_closed_blind_\scratch)
        cmpl    $1, %eax
        ret

LABEL(leaf_aside_blind_\scratch)
        .cfi_restore_state
        .cfi_remember_state
7:
        btrl    $ATTENTION_ALIGNMENT_BIT, ASKER_ATTENTION(%\scratch)
        jnc     8f
        SET_ALIGNMENT rsp
8:
        btrl    $ATTENTION_SUSPENDED_BIT, ASKER_ATTENTION(%\scratch)
        jnc     3b
        movq    (%rsp), %rdi
        movslq  -BODY_QUICK_CALL - 4(%rdi), %rax
        leaq    -BODY_QUICK_CALL(%rdi, %rax), %rax
        jmp     1b

LABEL(leaf_refused_blind_\scratch)
9:      /* As BODY_THUNK_ASK expects it. */
        movq    %rdi, LEAF_BODY_AT + BODY_ADDRESS(%rsp)
        EACH_OF_blind LOAD_OF_LEAF
LABEL(leaf_refused_closed_blind_\scratch)
        GO_ON_AT_THUNK rax
        .cfi_restore_state
        .cfi_endproc
        END(leaf_begin_blind_\scratch)
LABEL(leaf_end_blind_\scratch)
.endm

        SECTION_TEXT(quick)
        .p2align 4
FUNCTION(leaf_that_refuses)
        .cfi_startproc
        _CET_ENDBR
        movl    $VERDICT_RETRY, %eax
        ret
        .cfi_endproc
        END(leaf_that_refuses)

        .irp    scratch, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
        QUICK   \scratch
        .endr
        /* RSI and RDI are a leaf's own. */
        .irp    scratch, rbx, rcx, rdx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        QUICK_BLIND \scratch
        .endr
        .irp    scratch, rbx, rcx, rdx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        QUICK_LEAF one, \scratch
        .endr
        .irp    scratch, rbx, rcx, rdx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        QUICK_LEAF three, \scratch
        .endr

        END_OF_FILE
