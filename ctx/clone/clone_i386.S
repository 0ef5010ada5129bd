/* clone_i386.S: the system call that returns twice, and the one that never returns.
 *
 * A child begins on the stack that the call names. A thread that comes back with EAX 0 on the stack that it had is no
 * child: a seccomp filter (SECCOMP_RET_ERRNO | 0) answered, and nothing was made. The call takes all registers: XMM7
 * holds the caller's stack pointer, and EBP the child, which is all that it reads.
 *
 * clone_go_parked: this frame, and those of its callers on the same stack, are copied away meanwhile:
 *
 *      return address
 *      ebp ebx esi edi             <- the first word on the parking's stack, which also has the first byte that is
 *                                     saved, how many, and the parking
 */
#if !defined(__i386__)
#error "clone_i386.S is specific to i386"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/entry_layout.h"

#define KEPT 16
#define PARKED 16

/* The system call, as eax describes it. Afterwards ecx is the caller's stack pointer; only the caller has the same in
 * esp. */
.macro MAKE_CALL
        movl    CALL_CHILD(%eax), %ebp
        movl    CALL_FIRST(%eax), %ebx
        movl    CALL_SECOND(%eax), %ecx
        movl    CALL_THIRD(%eax), %edx
        movl    CALL_FOURTH(%eax), %esi
        movl    CALL_FIFTH(%eax), %edi
        movl    CALL_NUMBER(%eax), %eax
        movd    %esp, %xmm7
        SYSTEM_CALL
        movd    %xmm7, %ecx
.endm

/* The child's first frame. */
.macro BEGIN_CHILD
        .cfi_undefined %eip
        andl    $-16, %esp
        subl    $12, %esp
        pushl   %ebp
        xorl    %ebp, %ebp
        call    C(clone_begin)
        ud2
.endm

/* clone_go (call) */
        SECTION_TEXT(clone_go)
        .p2align 4
FUNCTION(clone_go)
        .cfi_startproc
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        movl    KEPT + 4(%esp), %eax
        MAKE_CALL
        cmpl    %ecx, %esp
        jne     1f
        .cfi_remember_state
        RESTORE_CALLEE_SAVED
        ret
        .cfi_restore_state
1:      BEGIN_CHILD
        .cfi_endproc
        END(clone_go)

/* clone_go_parked (call, parking) */
        SECTION_TEXT(clone_go_parked)
        .p2align 4
FUNCTION(clone_go_parked)
        .cfi_startproc
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        movl    KEPT + 4(%esp), %eax
        movl    KEPT + 8(%esp), %ebx
        movl    %esp, %ebp
        movl    PARKING_LOW(%ebx), %esi
        testl   %esi, %esi
        cmovzl  %esp, %esi
        movl    PARKING_HIGH(%ebx), %edx
        subl    %esi, %edx
        jb      2f
        cmpl    PARKING_ROOM(%ebx), %edx
        ja      2f
        movl    PARKING_COPY(%ebx), %edi
        movl    %edx, %ecx
        rep movsb
        subl    %edx, %esi
        .cfi_remember_state
        .cfi_def_cfa_register %ebp
        movl    PARKING_STACK(%ebx), %esp
        pushl   %ebp
        pushl   %esi
        pushl   %edx
        pushl   %ebx
        /* DW_CFA_def_cfa_expression: DW_OP_breg4 (esp), DW_OP_deref, DW_OP_plus_uconst. */
        .cfi_escape 0x0f, 5, 0x74, PARKED - 4, 0x06, 0x23, KEPT + 4
        MAKE_CALL
        cmpl    %ecx, %esp
        jne     1f
        movl    %eax, %edx
        popl    %ebx
        .cfi_escape 0x0f, 5, 0x74, PARKED - 8, 0x06, 0x23, KEPT + 4
        popl    %ecx
        .cfi_escape 0x0f, 5, 0x74, PARKED - 12, 0x06, 0x23, KEPT + 4
        popl    %edi
        .cfi_escape 0x0f, 5, 0x74, PARKED - 16, 0x06, 0x23, KEPT + 4
        popl    %ebp
        .cfi_def_cfa %ebp, KEPT + 4
        movl    PARKING_COPY(%ebx), %esi
        rep movsb
        movl    %ebp, %esp
        .cfi_restore_state
        movl    %edx, %eax
        .cfi_remember_state
        RESTORE_CALLEE_SAVED
        ret
        .cfi_restore_state
        .cfi_remember_state
2:      movl    $-SYSTEM_NO_MEMORY, %eax
        RESTORE_CALLEE_SAVED
        ret
        .cfi_restore_state
1:      BEGIN_CHILD
        .cfi_endproc
        END(clone_go_parked)

/* clone_return (ucontext): for the kernel a frame begins one word below the stack pointer. */
        SECTION_TEXT(clone_return)
        .p2align 4
FUNCTION(clone_return)
        .cfi_startproc
        .cfi_undefined %eip
        _CET_ENDBR
        movl    4(%esp), %eax
        leal    4 - ENTRY_CONTEXT(%eax), %esp
        RETURN_FROM_SIGNAL
        ud2
        .cfi_endproc
        END(clone_return)

        END_OF_FILE
