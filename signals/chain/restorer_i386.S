/* restorer_i386.S: the code that handlers return to, after their `ret` has popped pretcode off the kernel's frame:
 *
 *      esp ->  the signal's number, and the addresses of its siginfo and ucontext; behind them the two
 *
 * Unwinding: the caller is the interrupted code: its registers are in the ucontext, relative to esp (DWARF register 4,
 * DW_OP_breg4 0x74).
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (struct sigcontext_32). */
#if !defined(__i386__)
#error "restorer_i386.S is specific to i386"
#endif

#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/entry_layout.h"

/* From esp to the registers in the ucontext. */
#define REGISTERS (ENTRY_CONTEXT - 4 + 20)

.macro IS_AT register, offset
        .cfi_escape 0x10, \register, 3, 0x74, ((REGISTERS + \offset) & 0x7f) | 0x80, ((REGISTERS + \offset) >> 7) & 0x7f
.endm

.macro CFI_FRAME
        .cfi_signal_frame
        .cfi_escape 0x0f, 4, 0x74, ((REGISTERS + 28) & 0x7f) | 0x80, ((REGISTERS + 28) >> 7) & 0x7f, 0x06
        IS_AT   7, 16
        IS_AT   6, 20
        IS_AT   5, 24
        IS_AT   3, 32
        IS_AT   2, 36
        IS_AT   1, 40
        IS_AT   0, 44
        IS_AT   8, 56
.endm

        SECTION_TEXT(restorer_plain)
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

        SECTION_TEXT(restorer_of_relay)
        .p2align 4
        .cfi_startproc
        CFI_FRAME
        nop
LABEL_FUNCTION(restorer_of_relay)
        RETURN_FROM_SIGNAL
LABEL(restorer_of_relay_end)
        .cfi_endproc
        END(restorer_of_relay)

        END_OF_FILE
