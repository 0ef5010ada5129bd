/* continue_i386.S: the end of the way out of a handler by a copy of the thread's state (state.c).
 *
 *      eax     the copy
 *      ecx     NtContinue (copy, alertable), which does not return
 */
#if !defined(_WIN32) || !defined(__i386__)
#error "continue_i386.S is specific to Windows on i386"
#endif

#include "platform/asm.h"

        SECTION_TEXT(native_continue)
        .p2align 4
FUNCTION(native_continue)
        .cfi_startproc
        .cfi_undefined %eip
        pushl   $0
        pushl   %eax
        call    *%ecx
        ud2
        .cfi_endproc
        END(native_continue)

        END_OF_FILE
