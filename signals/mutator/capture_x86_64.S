/* capture_x86_64.S: stores the calling thread's registers before anything else changes them.
 *
 * SOURCES: Intel SDM volume 1, 13.7 (XSAVE leaves all of the header but XSTATE_BV as it is). */
#if !defined(__x86_64__)
#error "capture_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "decode/x86/registers.h"
#include "decode/x86/xsave.h"
#include "platform/asm.h"

#define INVALID 2

.macro STORE register, place
        movq    \register, \place(ARG1)
.endm

/* segue_mutator_capture (context, area, size): the context begins with a struct segue_regs. It ends in a function of
 * the first two arguments; on Windows the caller's room for four is that function's, too. */
        SECTION_TEXT(segue_mutator_capture)
        .p2align 4
PUBLIC_FUNCTION(segue_mutator_capture)
        .cfi_startproc
        _CET_ENDBR
        testq   ARG1, ARG1
        jz      3f
        EACH_REGISTER STORE
        leaq    8(%rsp), %rax
        movq    %rax, GATE_RSP(ARG1)
        movq    (%rsp), %rax
        movq    %rax, GATE_RIP(ARG1)
        pushfq
        .cfi_adjust_cfa_offset 8
        popq    GATE_RFLAGS(ARG1)
        .cfi_adjust_cfa_offset -8

        testq   ARG2, ARG2
        jz      2f
        testq   $63, ARG2
        jnz     3f
        movq    C(capture_area_size)(%rip), %rax
        testq   %rax, %rax
        jz      3f
        cmpq    %rax, ARG3
        jb      3f
        /* XSAVE's mask takes RDX, an argument of either convention. */
        movq    ARG2, %r9
        xorl    %eax, %eax
        movl    $8, %r8d
        cmpq    $XSAVE_LEGACY_SIZE, C(capture_area_size)(%rip)
        je      4f
1:      movq    %rax, XSAVE_XSTATE_BV - 8(%r9, %r8, 8)
        decl    %r8d
        jnz     1b
        movl    C(capture_features)(%rip), %eax
        movl    4 + C(capture_features)(%rip), %edx
        xsave64 (%r9)
        movq    %r9, ARG2
2:      jmp     C(capture_finish)
        /* A processor without XSAVE: the area ends where a header would begin. */
4:      fxsave64 (%r9)
        jmp     C(capture_finish)
3:      movl    $INVALID, %eax
        ret
        .cfi_endproc
        END(segue_mutator_capture)

        SECTION_BSS(capture_area_size)
        .p2align 3
OBJECT(capture_area_size)
        .zero   8
OBJECT(capture_features)
        .zero   8

        END_OF_FILE
