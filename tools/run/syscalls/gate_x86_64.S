/* gate_x86_64.S: the stubs of a thread: a template, of which each block has a copy in its page of code (thread.h).
 *
 *   gate_begin     where children begin: their calls are trapped from here on; to the target
 *   gate_pass      the program's own system call, with its registers, its stack and its signal mask; then the same
 */
#include "tools/run/host/layout.h"

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

        .section .note.GNU-stack, "", @progbits
