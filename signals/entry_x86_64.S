/* entry_x86_64.S: where the kernel enters the library. Nothing before signal_begin may use thread-local storage: the
 * segment bases may be a guest's.
 *
 * From the first instruction to the last, whoever interrupts us finds out where the frame of the interrupted program is
 * (interrupted_linux_x86_64.c): by rdx, by the record in the thread's list, or by rsp. So the labels between the
 * instructions are part of what this file says.
 */
#include <cet.h>

#include "../ctx/layout.h"

/* Both (edi number, rsi info, rdx ucontext). */
.macro ENTRY name, serve
        .section .text.\name, "ax", @progbits
        .globl  \name, \name\()_end
        .hidden \name, \name\()_end
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        _CET_ENDBR
        leaq    \serve(%rip), %rax
        movq    %rsp, %rcx
        jmp     guest_run_handler
\name\()_end:
        .cfi_endproc
        .size   \name, . - \name
.endm

        ENTRY   signal_entry, signal_begin
        ENTRY   suspend_entry, suspend_serve

/* signal_begin (edi number, rsi info, rdx ucontext, rcx the stack pointer at the entry): puts a record of the frame at the head of the thread's list
 * (../ctx/handling.h), and takes it out again if the handler returns; the direct way out takes it out itself.
 *
 *      +24  return address
 *      +16  the record's own address
 *       +8  the record around this one
 *       +0  ucontext
 */
        .section .text.signal_begin, "ax", @progbits
        .globl  signal_begin, signal_recorded, signal_forgotten, signal_return
        .hidden signal_begin, signal_recorded, signal_forgotten, signal_return
        .type   signal_begin, @function
        .p2align 4
signal_begin:
        .cfi_startproc
        _CET_ENDBR
        movq    handling_innermost@GOTTPOFF(%rip), %rax
        movq    %fs:(%rax), %r8
        subq    $HANDLING_SIZE, %rsp
        .cfi_adjust_cfa_offset HANDLING_SIZE
        /* A handler that was left for good had its record at this very place: what is around it is around ours. */
        cmpq    %rsp, %r8
        je      1f
        movq    %r8, HANDLING_OUTER(%rsp)
1:      movq    %rdx, HANDLING_UCONTEXT(%rsp)
        movq    %rsp, HANDLING_SELF(%rsp)
        movq    %rsp, %fs:(%rax)
signal_recorded:
        call    signal_serve
        movq    handling_innermost@GOTTPOFF(%rip), %rax
        movq    HANDLING_OUTER(%rsp), %rcx
        movq    %rcx, %fs:(%rax)
signal_forgotten:
        addq    $HANDLING_SIZE, %rsp
        .cfi_adjust_cfa_offset -HANDLING_SIZE
signal_return:
        ret
        .cfi_endproc
        .size   signal_begin, . - signal_begin

        .section .note.GNU-stack, "", @progbits
