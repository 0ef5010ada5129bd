/* clone_x86_64.S: the system call that returns twice, and the one that never returns.
 *
 * A child begins on the stack that the call names. A thread that comes back with RAX 0 on the stack that it had is no
 * child: a seccomp filter (SECCOMP_RET_ERRNO | 0) answered, and nothing was made.
 *
 * clone_go: the caller's stack holds one saved register; the child reads only r12:
 *
 *      return address
 *      r12                 <- rsp at the call, and r9
 *
 * clone_go_parked: this frame, and those of its callers on the same stack, are copied away meanwhile:
 *
 *      return address
 *      rbp rbx r12 r13 r14 r15     <- r13; rsp is the end of the parking's stack
 *
 *      rbx parking, r12 child, r14 the first byte that is saved, r15 how many
 */
#if !defined(__x86_64__)
#error "clone_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"

/* The system call, as r9 describes it. Afterwards r9 is the caller's stack pointer; only the caller has the same in
 * rsp. */
.macro MAKE_CALL
        movq    CALL_CHILD(%r9), %r12
        movq    CALL_NUMBER(%r9), %rax
        movq    CALL_FIRST(%r9), %rdi
        movq    CALL_SECOND(%r9), %rsi
        movq    CALL_THIRD(%r9), %rdx
        movq    CALL_FOURTH(%r9), %r10
        movq    CALL_FIFTH(%r9), %r8
        movq    %rsp, %r9
        SYSTEM_CALL
.endm

/* The child's first frame. */
.macro BEGIN_CHILD
        .cfi_undefined %rip
        xorl    %ebp, %ebp
        andq    $-16, %rsp
        movq    %r12, %rdi
        call    C(clone_begin)
        ud2
.endm

/* clone_go (rdi call) */
        SECTION_TEXT(clone_go)
        .p2align 4
FUNCTION(clone_go)
        .cfi_startproc
        _CET_ENDBR
        KEEP    %r12
        movq    %rdi, %r9
        MAKE_CALL
        cmpq    %r9, %rsp
        jne     1f
        RESTORE %r12
        ret
1:      BEGIN_CHILD
        .cfi_endproc
        END(clone_go)

/* clone_go_parked (rdi call, rsi parking) */
        SECTION_TEXT(clone_go_parked)
        .p2align 4
FUNCTION(clone_go_parked)
        .cfi_startproc
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        movq    %rdi, %r9
        movq    %rsi, %rbx
        movq    %rsp, %r13
        .cfi_def_cfa_register %r13
        movq    PARKING_LOW(%rbx), %r14
        testq   %r14, %r14
        cmovzq  %rsp, %r14
        movq    PARKING_HIGH(%rbx), %r15
        movq    $-SYSTEM_NO_MEMORY, %rdx
        subq    %r14, %r15
        jb      2f
        cmpq    PARKING_ROOM(%rbx), %r15
        ja      2f
        movq    %r14, %rsi
        movq    PARKING_COPY(%rbx), %rdi
        movq    %r15, %rcx
        rep movsb
        movq    PARKING_STACK(%rbx), %rsp
        MAKE_CALL
        cmpq    %r9, %rsp
        jne     1f
        movq    %rax, %rdx
        movq    PARKING_COPY(%rbx), %rsi
        movq    %r14, %rdi
        movq    %r15, %rcx
        rep movsb
        movq    %r13, %rsp
2:      .cfi_remember_state
        .cfi_def_cfa_register %rsp
        movq    %rdx, %rax
        RESTORE_CALLEE_SAVED
        ret
        .cfi_restore_state
1:      BEGIN_CHILD
        .cfi_endproc
        END(clone_go_parked)

/* clone_return (rdi ucontext): for the kernel a frame begins one word below the stack pointer. */
        SECTION_TEXT(clone_return)
        .p2align 4
FUNCTION(clone_return)
        .cfi_startproc
        .cfi_undefined %rip
        _CET_ENDBR
        movq    %rdi, %rsp
        RETURN_FROM_SIGNAL
        ud2
        .cfi_endproc
        END(clone_return)

        END_OF_FILE
