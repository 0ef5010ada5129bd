/* flags_x86_64.S: clears the thread's flags, which C cannot express. */
#if !defined(__ELF__) || !defined(__x86_64__)
#error "flags_x86_64.S is specific to ELF on x86-64"
#endif

#include "platform/asm.h"

/* frame_clear_flags (rdi which): see frame.h. Not by the compilers' built-in functions: they move the stack pointer
 * without CFI, so that unwinding fails for a thread that is cancelled there. */
        SECTION_HOT(frame_clear_flags)
        .p2align 4
FUNCTION(frame_clear_flags)
        .cfi_startproc
        _CET_ENDBR
        pushfq
        .cfi_adjust_cfa_offset 8
        popq    %rax
        .cfi_adjust_cfa_offset -8
        andq    %rdi, %rax
        je      1f
        notq    %rdi
        pushfq
        .cfi_adjust_cfa_offset 8
        andq    %rdi, (%rsp)
        popfq
        .cfi_adjust_cfa_offset -8
1:      ret
        .cfi_endproc
        END(frame_clear_flags)

        END_OF_FILE
