/* flags_i386.S: clears the thread's flags, which C cannot express. */
#if !defined(__ELF__) || !defined(__i386__)
#error "flags_i386.S is specific to ELF on i386"
#endif

#include "platform/asm.h"

/* frame_clear_flags (which, two words): see frame.h. Returns two words. */
        SECTION_TEXT(frame_clear_flags)
        .p2align 4
FUNCTION(frame_clear_flags)
        .cfi_startproc
        _CET_ENDBR
        movl    4(%esp), %ecx
        pushfl
        .cfi_adjust_cfa_offset 4
        popl    %eax
        .cfi_adjust_cfa_offset -4
        xorl    %edx, %edx
        andl    %ecx, %eax
        je      1f
        notl    %ecx
        pushfl
        .cfi_adjust_cfa_offset 4
        andl    %ecx, (%esp)
        popfl
        .cfi_adjust_cfa_offset -4
1:      ret
        .cfi_endproc
        END(frame_clear_flags)

        END_OF_FILE
