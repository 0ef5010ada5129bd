/* called_x86_64.S: where the system enters a function of platform/, with the bases of a guest perhaps. */
#if !defined(__x86_64__)
#error "called_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

/* guest_system_entry (edi number, rsi info, rdx context) */
        SECTION_HOT(guest_system_entry)
        .p2align 4
FUNCTION(guest_system_entry)
        .cfi_startproc
        _CET_ENDBR
        movq    C(guest_system_handler)(%rip), %rax
        jmp     C(guest_run_handler)
        .cfi_endproc
        END(guest_system_entry)

        END_OF_FILE
