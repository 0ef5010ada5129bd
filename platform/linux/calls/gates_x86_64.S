/* gates_x86_64.S: the code that makes system calls without a trap: all of the section segue_exempt is exempt.
 *
 *      gates           one for each site: the call, and on behind the site's; the data has where that is
 *      child gates     the same for calls that make children: a child's calls are caught before it goes on
 *      return          rt_sigreturn
 *      make            a call with other arguments; rsp is its record, which is restored from when it is done
 *      finish          a call that is not exempt: the handler finishes what the record wants
 *      call            a call of the library's own, as a function
 *      detours         one for each gate: jumps in place of SYSCALL lead here; on to look, with the gate's address
 *      look            saves all that a call keeps, asks C whether the call may be made as it is, and goes on to the
 *                      gate or to the trap; to the trap also if C was asked before the last change of
 *                      calls_looks_valid. From that comparison on, a thread that was suspended is sent back
 *                      (look_x86_64.c)
 *      run             calls a function in place of a call; rsp is the record. All that a call keeps is kept: the
 *                      flags, and the vector registers, which are stored below
 *      traps           one for each gate: the call, which traps; in a thread whose calls are caught no longer, a gate
 *      halts           the same where call sites are replaced: an instruction that faults (stand_in_x86_64.c)
 *
 * RCX and R11 are the two registers that SYSCALL changes. No flag changes: SYSCALL keeps them.
 *
 * Unwinding: a gate is a signal frame whose caller is at the address in its word of the data; its code says where that
 * word is: 5 bytes from its beginning, relative to the byte 9 behind it. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "gates_x86_64.S is specific to Linux on x86-64"
#endif

#include "decode/x86/abi_sysv.h"
#include "decode/x86/xsave.h"
#include "gates.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "trap_x86_64.h"

/* At the record: the caller is where the record says, with the record's arguments and stack pointer. */
.macro CALLER_OF_RECORD
        .cfi_def_cfa rsp, 0
        .cfi_escape 0x16, 7, 3, 0x77, RECORD_STACK_POINTER, 0x06
        .cfi_offset rip, RECORD_TARGET
        .cfi_offset rdi, RECORD_ARGUMENTS
        .cfi_offset rsi, RECORD_ARGUMENTS + 8
        .cfi_offset rdx, RECORD_ARGUMENTS + 16
        .cfi_offset r10, RECORD_ARGUMENTS + 24
        .cfi_offset r8, RECORD_ARGUMENTS + 32
        .cfi_offset r9, RECORD_ARGUMENTS + 40
.endm

        SECTION_BSS(calls_targets)
        .p2align 3
        OBJECT(calls_targets)
        .skip   GATES * 8
        END(calls_targets)
        OBJECT(calls_child_targets)
        .skip   CHILD_GATES * 8
        END(calls_child_targets)
        OBJECT(calls_looks_valid)
        .skip   8
        END(calls_looks_valid)
        OBJECT(calls_exempt)
        .skip   16
        END(calls_exempt)
        /* 0: call sites are replaced. */
        OBJECT(calls_by_dispatch)
        .skip   8
        END(calls_by_dispatch)
        OBJECT(calls_vector_size)
        .skip   8
        END(calls_vector_size)
        OBJECT(calls_vector_components)
        .skip   8
        END(calls_vector_components)

        SECTION_EXEMPT(calls_gates)

        .p2align 4
ATOM(calls_gates_atom)
        .cfi_startproc simple
        SIGNAL_FRAME
        .cfi_def_cfa rsp, 0
        /* val_expression for RIP: breg16 0; const1s -16; and; dup; plus_uconst 5; deref_size 4; plus; plus_uconst 9;
         * deref. */
        .cfi_escape 0x16, 16, 14, 0x80, 0, 0x09, 0xf0, 0x1a, 0x12, 0x23, 5, 0x94, 4, 0x22, 0x23, 9, 0x06
LABEL(calls_gates)
        .set    number, 0
        .rept   GATES
        .p2align 4
        syscall
        movq    C(calls_targets) + 8 * number(%rip), %rcx
        jmp     *%rcx
        .set    number, number + 1
        .endr
        .p2align 4
LABEL(calls_gates_end)
        .cfi_endproc

        .p2align 7
LABEL(calls_child_gates)
        .set    number, 0
        .rept   CHILD_GATES
        .p2align 7
        syscall
        movl    %eax, %ecx
        jecxz   1f
        movq    C(calls_child_targets) + 8 * number(%rip), %rcx
        jmp     *%rcx
        /* LEA loads constants: Mach-O's assembler takes $ and a digit in .rept for a macro's argument. The child: with
         * its parent's registers, and perhaps on its parent's stack, which is then not in use. */
1:
        .if     number == 0
LABEL(calls_child_begins)
        .endif
        movq    C(calls_by_dispatch)(%rip), %rcx
        jrcxz   2f
        leaq    -RED_ZONE(%rsp), %rsp
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %r10
        pushq   %r8
        leal    PR_SET_SYSCALL_USER_DISPATCH, %edi
        leal    PR_SYS_DISPATCH_ON, %esi
        movq    C(calls_exempt)(%rip), %rdx
        movq    C(calls_exempt) + 8(%rip), %r10
        leal    0, %r8d
        leal    __NR_prctl, %eax
        syscall
        popq    %r8
        popq    %r10
        popq    %rdx
        popq    %rsi
        popq    %rdi
        leaq    RED_ZONE(%rsp), %rsp
2:      leal    0, %eax
        movq    C(calls_child_targets) + 8 * number(%rip), %rcx
        jmp     *%rcx
        .set    number, number + 1
        .endr
        .p2align 7
LABEL(calls_child_gates_end)

LABEL(calls_gate_return)
        syscall
        ud2

        .p2align 4
        .cfi_startproc simple
        SIGNAL_FRAME
        CALLER_OF_RECORD
LABEL(calls_make_call)
        syscall
LABEL(calls_made)
        movq    RECORD_FINISH(%rsp), %rcx
        jrcxz   1f
        jmp     C(calls_wants_finish)
LABEL(calls_restore)
1:      movq    RECORD_ARGUMENTS(%rsp), %rdi
        movq    RECORD_ARGUMENTS + 8(%rsp), %rsi
        movq    RECORD_ARGUMENTS + 16(%rsp), %rdx
        movq    RECORD_ARGUMENTS + 24(%rsp), %r10
        movq    RECORD_ARGUMENTS + 32(%rsp), %r8
        movq    RECORD_ARGUMENTS + 40(%rsp), %r9
        movq    RECORD_BUSY(%rsp), %rcx
        movq    $0, (%rcx)
        movq    RECORD_TARGET(%rsp), %rcx
        movq    RECORD_STACK_POINTER(%rsp), %rsp
        .cfi_restore rsp
        .cfi_register rip, rcx
LABEL(calls_restored)
        jmp     *%rcx
LABEL(calls_make_end)
        .cfi_endproc

/* long calls_call(long number, first, second, third, fourth, fifth, sixth) */
        .p2align 4
        FUNCTION(calls_call)
        .cfi_startproc
        _CET_ENDBR
        movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        movq    %rcx, %rdx
        movq    %r8, %r10
        movq    %r9, %r8
        movq    8(%rsp), %r9
        syscall
        ret
        .cfi_endproc
        END(calls_call)

        SECTION_TEXT(calls_look)
        .p2align 4
LABEL(calls_detours)
        .set    number, 0
        .rept   GATES
        .p2align 4
        leaq    C(calls_gates) + GATE_SIZE * number(%rip), %rcx
        jmp     C(calls_look)
        .set    number, number + 1
        .endr
        .p2align 4
/* rcx gate. The stack, from the red zone down: flags; struct look. */
LABEL(calls_look)
        leaq    -RED_ZONE(%rsp), %rsp
        pushfq
        cld
        leaq    -(LOOK_SIZE - LOOK_SAVED)(%rsp), %rsp
        pushq   %r9
        pushq   %r8
        pushq   %r10
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rax
        movq    %rsp, %rdi
        movq    %rcx, %rsi
        pushq   %rbx
        movq    %rsp, %rbx
        andq    $-16, %rsp
        call    C(calls_look_at)
        movq    %rbx, %rsp
        popq    %rbx
        popq    %rax
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %r10
        popq    %r8
        popq    %r9
        leaq    LOOK_EPOCH - LOOK_SAVED(%rsp), %rsp
        popq    %r11
        popq    %rcx
LABEL(calls_looked)
        cmpq    C(calls_looks_valid)(%rip), %r11
        jne     1f
        movq    (%rsp), %rcx
LABEL(calls_chosen)
1:      leaq    8(%rsp), %rsp
        popfq
        leaq    RED_ZONE(%rsp), %rsp
        jmp     *%rcx
LABEL(calls_chosen_end)

        .p2align 4
LABEL(calls_traps)
        .set    number, 0
        .rept   GATES
        .p2align 4
        syscall
        movq    C(calls_targets) + 8 * number(%rip), %rcx
        jmp     *%rcx
        .set    number, number + 1
        .endr
        .p2align 4
LABEL(calls_traps_end)
LABEL(calls_halts)
        .rept   GATES
        hlt
        .endr
LABEL(calls_halts_end)

        SECTION_TEXT(calls_wants_finish)
        .p2align 4
LABEL(calls_wants_finish)
        movq    %rax, RECORD_RESULT(%rsp)
        movq    C(calls_by_dispatch)(%rip), %rcx
        jrcxz   1f
        syscall
LABEL(calls_wanted_finish)
        ud2
LABEL(calls_finish_halt)
1:      hlt
        ud2

        .p2align 4
        .cfi_startproc simple
        SIGNAL_FRAME
        CALLER_OF_RECORD
LABEL(calls_run_begin)
        movq    %rbx, RUN_RBX(%rsp)
        movq    %rsp, %rbx
LABEL(calls_run_saved)
        .cfi_remember_state
        .cfi_def_cfa rbx, 0
        .cfi_escape 0x16, 7, 3, 0x73, RECORD_STACK_POINTER, 0x06
        .cfi_offset rbx, RUN_RBX
        leaq    RUN_RBX(%rsp), %rsp
        pushfq
        cld
        subq    C(calls_vector_size)(%rip), %rsp
        andq    $-XSAVE_ALIGNMENT, %rsp
        xorl    %eax, %eax
        .irp    place, 0, 8, 16, 24, 32, 40, 48, 56
        movq    %rax, XSAVE_XSTATE_BV + \place(%rsp)
        .endr
        movl    C(calls_vector_components)(%rip), %eax
        xorl    %edx, %edx
        xsave64 (%rsp)
        movq    %rbx, %rdi
        call    C(calls_run_function)
LABEL(calls_run_called)
        movq    %rax, RECORD_RESULT(%rbx)
        movl    C(calls_vector_components)(%rip), %eax
        xorl    %edx, %edx
        xrstor64 (%rsp)
        leaq    RUN_FLAGS(%rbx), %rsp
        popfq
        movq    %rbx, %rsp
        .cfi_restore_state
LABEL(calls_run_leaving)
        movq    RUN_RBX(%rsp), %rbx
        movq    RECORD_RESULT(%rsp), %rax
        jmp     C(calls_restore)
LABEL(calls_run_end)
        .cfi_endproc

        END_OF_FILE
