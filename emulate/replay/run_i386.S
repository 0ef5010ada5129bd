/* run_i386.S: loads an instruction's state, calls its stub, and stores the state after it (see context.h).
 *
 *      host stack while the stub runs          registers while the stub runs
 *         +56  the context                        esp       the host's: a fault in the stub is delivered on the stack
 *         +52  return address                               at esp, so it never holds the guest's value
 *         +48  ebp                             others    the context's
 *         +44  ebx                             eflags    the context's
 *         +40  esi                             vectors   the area's, where the context names components
 *         +36  edi
 *         +32  host flags
 *         +24  the outcome
 *         +16  host MXCSR, then x87 control word
 *          +8  the stub's address
 *          +4  the context's address
 *          -4  the stub's return address
 *
 * Every access is naturally aligned, since the guest may have alignment checking on. */
#if !defined(__i386__)
#error "run_i386.S is specific to i386"
#endif

#include "decode/x86/registers.h"
#include "platform/asm.h"

#include "layout.h"

#define AT_CONTEXT 4
#define AT_CODE 8
#define AT_CONTROL 16
#define AT_OUTCOME 24
#define AT_FLAGS 32
#define FSW_PLACE 2
#define FSW_EXCEPTION_WAITS 0x80

        .text

#define RDI_PLACE 40
.macro LOAD register, place
        movl    \place(%edi), \register
.endm
.macro STORE register, place
        movl    \register, \place(%edi)
.endm

/* uint64_t replay_enter(context) */
        .p2align 4
FUNCTION(replay_enter)
        .cfi_startproc
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        pushfl
        .cfi_adjust_cfa_offset 4
        subl    $32, %esp
        .cfi_adjust_cfa_offset 32
        movl    56(%esp), %edi
        movl    %edi, AT_CONTEXT(%esp)
        movl    REPLAY_CODE(%edi), %eax
        movl    %eax, AT_CODE(%esp)
        movl    $REPLAY_DONE, AT_OUTCOME(%esp)

        movl    REPLAY_COMPONENTS(%edi), %eax
        testl   %eax, %eax
        jz      1f
        stmxcsr AT_CONTROL(%esp)
        fnstcw  AT_CONTROL + 4(%esp)
        xorl    %edx, %edx
        movl    REPLAY_AREA(%edi), %ecx
LABEL(replay_load)
        cmpl    $STATE_BY_FXSAVE, REPLAY_STATE_BY(%edi)
        je      2f
        xrstor  (%ecx)
        jmp     1f
2:
        fxrstor (%ecx)
LABEL(replay_loaded)
1:
        pushl   REPLAY_RFLAGS(%edi)
        .cfi_adjust_cfa_offset 4
        popfl
        .cfi_adjust_cfa_offset -4
        EACH_REGISTER_BUT_RDI LOAD
        movl    RDI_PLACE(%edi), %edi
        call    *AT_CODE(%esp)

        /* The context's address goes to edi; the guest's edi waits on the stack, under the flags. */
        pushfl
        .cfi_adjust_cfa_offset 4
        pushl   %edi
        .cfi_adjust_cfa_offset 4
        movl    8 + AT_CONTEXT(%esp), %edi
        EACH_REGISTER_BUT_RDI STORE
        popl    RDI_PLACE(%edi)
        .cfi_adjust_cfa_offset -4
        popl    REPLAY_RFLAGS(%edi)
        .cfi_adjust_cfa_offset -4
        pushl   AT_FLAGS(%esp)
        .cfi_adjust_cfa_offset 4
        popfl
        .cfi_adjust_cfa_offset -4
        movl    REPLAY_COMPONENTS(%edi), %eax
        testl   %eax, %eax
        jz      3f
        xorl    %edx, %edx
        movl    REPLAY_AREA(%edi), %ecx
        cmpl    $STATE_BY_FXSAVE, REPLAY_STATE_BY(%edi)
        je      7f
        xsave   (%ecx)
        testl   $4, %eax
        jz      8f
        vzeroupper
        jmp     8f
7:
        fxsave  (%ecx)
8:
        ldmxcsr AT_CONTROL(%esp)
        testl   $1, %eax
        jz      3f
        /* The host needs an empty register stack and its control word. If an exception is pending, FFREE and FLDCW
         * would raise it. */
        testb   $FSW_EXCEPTION_WAITS, FSW_PLACE(%ecx)
        jnz     5f
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        ffree   %st(\n)
        .endr
6:
        fldcw   AT_CONTROL + 4(%esp)
3:
        movl    AT_OUTCOME(%esp), %eax
4:
        .cfi_remember_state
        xorl    %edx, %edx
        addl    $36, %esp
        .cfi_adjust_cfa_offset -36
        RESTORE_CALLEE_SAVED
        ret

5:
        .cfi_restore_state
        .cfi_remember_state
        fninit
        jmp     6b

/* A fault from replay_load on resumes here: the processor has loaded nothing, or a part. */
LABEL(replay_not_loaded)
        .cfi_restore_state
        fninit
        fldcw   AT_CONTROL + 4(%esp)
        ldmxcsr AT_CONTROL(%esp)
        movl    $REPLAY_NOT_LOADED, %eax
        jmp     4b
        .cfi_endproc
        END(replay_enter)

/* A fault in a stub resumes here, on the stub's stack: returns as the stub would have, with the outcome set. */
        .p2align 4
FUNCTION(replay_faulted)
        .cfi_startproc
        movl    $REPLAY_FAULTED, 4 + AT_OUTCOME(%esp)
        ret
        .cfi_endproc
        END(replay_faulted)

        END_OF_FILE
