/* port_x86_64.S: where a thread goes on whose fault has come as a message: it serves the fault itself (port.c).
 *
 *      entry:  RDI     its frame (struct port_frame), which lies above; RSP as behind a call
 *
 * guest_run_handler calls port_serve, with the host's base of GS in force if the thread runs a guest.
 *
 * HLT is refused to a program, by a general protection fault: that one's message is answered with the frame. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "port_x86_64.S is specific to macOS on x86-64"
#endif

#include "platform/asm.h"

        SECTION_TEXT(port)

        .p2align 4
FUNCTION(port_entry)
        .cfi_startproc
        .cfi_undefined %rip
        _CET_ENDBR
        movq    %rdi, %rbx
        movq    %rdi, %rsi
        movq    %rdi, %rdx
        xorl    %edi, %edi
        leaq    C(port_serve)(%rip), %rax
        call    C(guest_run_handler)
        movq    %rbx, %rdi
LABEL(port_return)
        hlt
        .cfi_endproc
        END(port_entry)

        END_OF_FILE
