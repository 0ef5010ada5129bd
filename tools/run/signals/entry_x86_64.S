/* entry_x86_64.S: between the program's code and the host's.
 *
 * The program runs with FS base 0 and its own GS base, and its system calls are trapped. A signal brings the thread to
 * run_entry, on the alternate stack in its block. The kernel leaves the segment bases as the program has them, so
 * nothing before the C code may touch %fs. The kernel (rt_sigreturn) returns to the program, or to a stub in the
 * block's page of code (syscalls/gate_x86_64.S).
 *
 *   run_entry      the host's FS base; C
 *   run_tail       the FS base that C returned
 *   run_leave      the selector that C returned, and rt_sigreturn (detours/leave_x86_64.S)
 */
#include <cet.h>

#include "decode/x86/flags.h"
#include "tools/run/host/layout.h"

/* run_entry (edi number, rsi info, rdx ucontext): the handler of every signal that the host handles. Up to
 * run_entry_allowed the thread may still have the program's selector, and must not make a system call. A handler that
 * interrupts it there, and makes system calls, moves it to run_entry_allowed (handler_linux_x86_64.c, leave_entry).
 *
 *      rbx block, r12 ucontext; r9 the selector that was in force and, above, whether signals were kept,
 *      r8 the FS base */
        .section .text.run_entry, "ax", @progbits
        .globl  run_entry, run_entry_allowed, run_tail, run_entry_end
        .hidden run_entry, run_entry_allowed, run_tail, run_entry_end, run_leave_copy
        .type   run_entry, @function
        .p2align 4
run_entry:
        .cfi_startproc
        .cfi_undefined %rip
        _CET_ENDBR
        movq    %rsp, %rcx
        andq    $-BLOCK_SIZE, %rcx
        movzwl  THREAD_SELECTOR(%rcx), %r9d
        movw    $SERVING, THREAD_SELECTOR(%rcx)
run_entry_allowed:
        rdfsbase %r8
        movq    THREAD_HOST_FS(%rcx), %rax
        wrfsbase %rax
        movq    %rcx, %rbx
        movq    %rdx, %r12
        /* The kernel leaves the alignment check flag as the program has it. */
        pushfq
        andl    $~FLAG_ALIGNMENT, (%rsp)
        popfq
        subq    $8, %rsp
        call    run_signal
run_tail:
        wrfsbase %rax
        movq    %r12, %rsp
        jmp     *run_leave_copy(%rip)
run_entry_end:
        .cfi_endproc
        .size   run_entry, . - run_entry

        .section .note.GNU-stack, "", @progbits
