/* entry_x86_64.S: between the program's code and the host's.
 *
 * The program runs with FS base 0 and its own GS base, and its system calls are trapped. A signal brings the thread to
 * run_entry, on the alternate stack in its block; the kernel leaves the segment bases as the program has them, so nothing
 * before the C code may touch %fs. The way back is the kernel's: to the program, or to a stub in the block's page of
 * code.
 *
 *   run_entry      the host's FS base; C
 *   run_tail       the FS base that C says
 *   run_leave      the selector that C says, and rt_sigreturn, at an address where calls are never trapped
 *   gate_begin     where children begin: their calls are trapped from here on; to the target
 *   gate_pass      the program's own system call, with its registers, its stack and its signal mask; then the same
 */
#include <cet.h>

#include "decode/x86/flags.h"
#include "tools/run/host/layout.h"

#define SYS_RT_SIGRETURN 15

/* ---- the page ---- */

        .section .text.run_gate, "ax", @progbits
        .p2align 6
        .globl  run_gate, run_gate_begin, run_gate_pass, run_gate_passed, run_gate_end
        .hidden run_gate, run_gate_begin, run_gate_pass, run_gate_passed, run_gate_end
#define DATA(offset) (run_gate - BLOCK_CODE + offset)(%rip)
run_gate:
run_gate_begin:
        /* As the instruction leaves it. */
        movq    DATA(THREAD_TARGET), %rcx
        movb    $SELECTOR_BLOCK, DATA(THREAD_SELECTOR)
        jmp     *DATA(THREAD_TARGET)

        .p2align 4
run_gate_pass:
        syscall
run_gate_passed:
        movq    DATA(THREAD_ARGUMENTS), %rdi
        movq    DATA(THREAD_ARGUMENTS + 8), %rsi
        movq    DATA(THREAD_ARGUMENTS + 16), %rdx
        movq    DATA(THREAD_ARGUMENTS + 24), %r10
        movq    DATA(THREAD_ARGUMENTS + 32), %r8
        movq    DATA(THREAD_ARGUMENTS + 40), %r9
        /* As the instruction leaves it. */
        movq    DATA(THREAD_TARGET), %rcx
        movb    $SELECTOR_BLOCK, DATA(THREAD_SELECTOR)
        jmp     *DATA(THREAD_TARGET)
run_gate_end:

/* ---- the handler ---- */

/* run_entry (edi number, rsi info, rdx ucontext): every signal that the host handles. Up to run_entry_allowed the thread
 * may still have the program's selector, and must not make a system call: whoever interrupts it there and makes some
 * takes it to that place (handler_linux_x86_64.c, leave_entry).
 *
 *      rbx block, r12 ucontext; r9 the selector that was in force and, above, whether signals were kept, r8 the FS base */
        .section .text.run_entry, "ax", @progbits
        .globl  run_entry, run_entry_allowed, run_tail, run_entry_end
        .hidden run_entry, run_entry_allowed, run_tail, run_entry_end
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

/* A template (exempt.h). rbx block, rsp ucontext, rdx selector. */
        .section .text.run_leave, "ax", @progbits
        .globl  run_leave, run_leave_end
        .hidden run_leave, run_leave_end, run_leave_copy
run_leave:
        movb    %dl, THREAD_SELECTOR(%rbx)
        movl    $SYS_RT_SIGRETURN, %eax
        syscall
        ud2
run_leave_end:

/* bool run_copy(void *to, const void *from, size_t size): false if memory could not be reached; the handler sends the
 * fault of its one access to run_copy_failed. */
        .section .text.run_copy, "ax", @progbits
        .globl  run_copy, run_copy_access, run_copy_failed
        .hidden run_copy, run_copy_access, run_copy_failed
        .type   run_copy, @function
        .p2align 4
run_copy:
        .cfi_startproc
        _CET_ENDBR
        movq    %rdx, %rcx
run_copy_access:
        rep movsb
        movl    $1, %eax
        ret
run_copy_failed:
        xorl    %eax, %eax
        ret
        .cfi_endproc
        .size   run_copy, . - run_copy

/* bool run_try(void (*function)(void *), void *context): the handler sends a fault in it to run_try_failed, with the
 * thread's `tries` as its stack pointer. */
        .section .text.run_try, "ax", @progbits
        .globl  run_try, run_try_failed
        .hidden run_try, run_try_failed
        .type   run_try, @function
        .p2align 4
run_try:
        .cfi_startproc
        _CET_ENDBR
        pushq   %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        pushq   %rbp
        .cfi_def_cfa_offset 24
        .cfi_offset %rbp, -24
        pushq   %r12
        .cfi_def_cfa_offset 32
        .cfi_offset %r12, -32
        pushq   %r13
        .cfi_def_cfa_offset 40
        .cfi_offset %r13, -40
        pushq   %r14
        .cfi_def_cfa_offset 48
        .cfi_offset %r14, -48
        pushq   %r15
        .cfi_def_cfa_offset 56
        .cfi_offset %r15, -56
        movq    %rsp, %rax
        andq    $-BLOCK_SIZE, %rax
        movq    %rsp, THREAD_TRIES(%rax)
        movq    %rdi, %rax
        movq    %rsi, %rdi
        subq    $8, %rsp
        .cfi_def_cfa_offset 64
        call    *%rax
        addq    $8, %rsp
        .cfi_def_cfa_offset 56
        movl    $1, %eax
        jmp     1f
run_try_failed:
        xorl    %eax, %eax
1:      movq    %rsp, %rcx
        andq    $-BLOCK_SIZE, %rcx
        movq    $0, THREAD_TRIES(%rcx)
        popq    %r15
        .cfi_def_cfa_offset 48
        popq    %r14
        .cfi_def_cfa_offset 40
        popq    %r13
        .cfi_def_cfa_offset 32
        popq    %r12
        .cfi_def_cfa_offset 24
        popq    %rbp
        .cfi_def_cfa_offset 16
        popq    %rbx
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size   run_try, . - run_try

        .section .note.GNU-stack, "", @progbits
