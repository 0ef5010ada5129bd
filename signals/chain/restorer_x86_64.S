/* restorer_x86_64.S: the code that handlers return to, after their `ret` has popped pretcode off the kernel's frame:
 *
 *      rsp ->  ucontext, at a multiple of 16
 *
 * They are exempt from the catching of system calls (platform/calls/calls.h): the trap's own handler returns by one.
 *
 * gdb and libgcc would recognise restorer_plain by its bytes, libunwind 1.6 does not: both restorers have CFI. */
#if !defined(__x86_64__)
#error "restorer_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/frame_cfi_x86_64.h"

.macro CFI_FRAME
        .cfi_signal_frame
        CFI_UCONTEXT 0
.endm

        SECTION_EXEMPT(restorer_plain)
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        /* Unwinders look up the byte before a return address. */
        nop
LABEL_FUNCTION(restorer_plain)
        RETURN_FROM_SIGNAL
LABEL(restorer_plain_end)
        .cfi_endproc
        END(restorer_plain)

        SECTION_EXEMPT(restorer_of_relay)
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        nop
LABEL_FUNCTION(restorer_of_relay)
        movq    %rsp, %rdi
        call    C(restorer_return)
        RETURN_FROM_SIGNAL
LABEL(restorer_of_relay_end)
        .cfi_endproc
        END(restorer_of_relay)

        END_OF_FILE
