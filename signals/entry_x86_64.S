/* entry_x86_64.S: where the kernel enters the library. Nothing here may use thread-local storage: the segment bases
 * may be a
 * guest's. */
#include <cet.h>

/* signal_entry (edi number, rsi info, rdx ucontext) */
        .section .text.signal_entry, "ax", @progbits
        .globl  signal_entry
        .hidden signal_entry
        .type   signal_entry, @function
        .p2align 4
signal_entry:
        .cfi_startproc
        _CET_ENDBR
        leaq    signal_serve(%rip), %rax
        jmp     guest_run_handler
        .cfi_endproc
        .size   signal_entry, . - signal_entry

        .section .note.GNU-stack, "", @progbits
