/* run_x86_64.S: loads an instruction's state, calls its stub, and stores the state after it (see context.h).
 *
 *      host stack while the stub runs          registers while the stub runs
 *         +96  return address                  rsp       the host's: a fault in the stub is delivered on the stack
 *         +88  rbp                                       at rsp, so it never holds the guest's value
 *         +80  rbx                             others    the context's
 *         +72  r12                             rflags    the context's
 *         +64  r13                             vectors   the area's, where the context names components
 *         +56  r14
 *         +48  r15
 *         +40  host flags
 *         +32  the outcome
 *         +24  host MXCSR, then x87 control word
 *         +16  the stub's address
 *          +8  the context's address
 *          +0  unused
 *          -8  the stub's return address
 *
 * Every access is naturally aligned, since the guest may have alignment checking on. */
#if !defined(__x86_64__)
#error "run_x86_64.S is specific to x86-64"
#endif

#include "decode/x86/registers.h"
#include "platform/asm.h"

#include "layout.h"
#include "vectors_x86_64.h"

#define AT_CONTEXT 8
#define AT_CODE 16
#define AT_CONTROL 24
#define AT_OUTCOME 32
#define AT_FLAGS 40
#define FLAG_OVERFLOW_BIT 11
#define FSW_PLACE 2
#define FSW_EXCEPTION_WAITS 0x80

        .text

#define RDI_PLACE 40
.macro LOAD register, place
        movq    \place(%rdi), \register
.endm
.macro STORE register, place
        movq    \register, \place(%rdi)
.endm

/* uint64_t replay_enter(rdi context) */
        .p2align 4
FUNCTION(replay_enter)
        .cfi_startproc
        PROLOGUE(replay_enter)
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        pushfq
        .cfi_adjust_cfa_offset 8
        ROOM(8)
        subq    $40, %rsp
        .cfi_adjust_cfa_offset 40
        ROOM(40)
        END_PROLOGUE
        movq    %rdi, AT_CONTEXT(%rsp)
        movq    REPLAY_CODE(%rdi), %rax
        movq    %rax, AT_CODE(%rsp)
        movq    $REPLAY_DONE, AT_OUTCOME(%rsp)

        movl    REPLAY_COMPONENTS(%rdi), %eax
        testl   %eax, %eax
        jz      1f
        stmxcsr AT_CONTROL(%rsp)
        fnstcw  AT_CONTROL + 4(%rsp)
        xorl    %edx, %edx
        movq    REPLAY_AREA(%rdi), %rcx
        movl    %eax, %esi
LABEL(replay_load)
        cmpl    $STATE_BY_MOVES, REPLAY_STATE_BY(%rdi)
        je      7f
        ja      12f
        xrstor64 (%rcx)
        jmp     1f
12:
        fxrstor64 (%rcx)
        jmp     1f
7:
        LOAD_VECTORS load
LABEL(replay_loaded)
1:
        /* POPFQ is slow. It is needed only for flags that SAHF does not load, whether the thread's or the caller's; an
         * addition sets OF. */
        movl    REPLAY_RFLAGS(%rdi), %eax
        movl    AT_FLAGS(%rsp), %ecx
        orl     %eax, %ecx
        testl   %ecx, REPLAY_POPFQ_FLAGS(%rdi)
        jnz     9f
        movl    %eax, %ecx
        shrl    $FLAG_OVERFLOW_BIT, %ecx
        andl    $1, %ecx
        movb    %al, %ah
        addb    $0x7f, %cl
        sahf
10:
        EACH_REGISTER_BUT_RDI LOAD
        movq    RDI_PLACE(%rdi), %rdi
        call    *AT_CODE(%rsp)

        /* The context's address goes to rdi; the guest's rdi waits on the stack, under the flags. */
        pushfq
        .cfi_adjust_cfa_offset 8
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        movq    16 + AT_CONTEXT(%rsp), %rdi
        EACH_REGISTER_BUT_RDI STORE
        popq    RDI_PLACE(%rdi)
        .cfi_adjust_cfa_offset -8
        popq    REPLAY_RFLAGS(%rdi)
        .cfi_adjust_cfa_offset -8
        movl    REPLAY_RFLAGS(%rdi), %eax
        orl     AT_FLAGS(%rsp), %eax
        testl   %eax, REPLAY_POPFQ_FLAGS(%rdi)
        jz      11f
        pushq   AT_FLAGS(%rsp)
        .cfi_adjust_cfa_offset 8
        popfq
        .cfi_adjust_cfa_offset -8
11:
        movl    REPLAY_COMPONENTS(%rdi), %eax
        testl   %eax, %eax
        jz      3f
        xorl    %edx, %edx
        movq    REPLAY_AREA(%rdi), %rcx
        cmpl    $STATE_BY_MOVES, REPLAY_STATE_BY(%rdi)
        je      8f
        ja      13f
        xsave64 (%rcx)
        testl   $4, %eax
        jz      2f
        vzeroupper
2:
        ldmxcsr AT_CONTROL(%rsp)
        testl   $1, %eax
        jz      3f
        /* The host needs an empty register stack and its control word. FFREE is faster than EMMS and FNINIT; but if an
         * exception is pending, it and FLDCW would raise it. */
        testb   $FSW_EXCEPTION_WAITS, FSW_PLACE(%rcx)
        jnz     5f
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        ffree   %st(\n)
        .endr
6:
        fldcw   AT_CONTROL + 4(%rsp)
3:
        movq    AT_OUTCOME(%rsp), %rax
4:
        .cfi_remember_state
        addq    $48, %rsp
        .cfi_adjust_cfa_offset -48
        RESTORE_CALLEE_SAVED
        ret

5:
        .cfi_restore_state
        .cfi_remember_state
        fninit
        jmp     6b

13:
        .cfi_restore_state
        .cfi_remember_state
        fxsave64 (%rcx)
        jmp     2b

8:
        .cfi_restore_state
        .cfi_remember_state
        movl    %eax, %esi
        STORE_VECTORS store
        movl    %esi, %eax
        jmp     2b

9:
        .cfi_restore_state
        .cfi_remember_state
        pushq   REPLAY_RFLAGS(%rdi)
        .cfi_adjust_cfa_offset 8
        popfq
        .cfi_adjust_cfa_offset -8
        jmp     10b

/* A fault from replay_load on resumes here: the processor has loaded nothing, or a part. */
LABEL(replay_not_loaded)
        .cfi_restore_state
        fninit
        fldcw   AT_CONTROL + 4(%rsp)
        ldmxcsr AT_CONTROL(%rsp)
        movl    $REPLAY_NOT_LOADED, %eax
        jmp     4b
        END_UNWIND
        .cfi_endproc
        END(replay_enter)

/* A fault in a stub resumes here, on the stub's stack: returns as the stub would have, with the outcome set. */
        .p2align 4
FUNCTION(replay_faulted)
        .cfi_startproc
        movq    $REPLAY_FAULTED, 8 + AT_OUTCOME(%rsp)
        ret
        .cfi_endproc
        END(replay_faulted)

        END_OF_FILE
