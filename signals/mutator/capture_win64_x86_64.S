/* capture_win64_x86_64.S: as capture_x86_64.S, for the calling convention of Windows.
 *
 * SOURCES: Intel SDM volume 1, 13.7 (XSAVE leaves all of the header but XSTATE_BV as it is). */
#if !defined(__x86_64__)
#error "capture_win64_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "decode/x86/registers.h"
#include "decode/x86/xsave.h"
#include "platform/asm.h"

#define INVALID 2

.macro STORE register, place
        movq    \register, \place(%rcx)
.endm

/* segue_mutator_capture (rcx context, rdx area, r8 size): the context begins with a struct segue_regs. The caller's
 * room for four arguments is that of the function which this one ends in. */
        SECTION_TEXT(segue_mutator_capture)
        .p2align 4
PUBLIC_FUNCTION(segue_mutator_capture)
        testq   %rcx, %rcx
        jz      3f
        EACH_REGISTER STORE
        leaq    8(%rsp), %rax
        movq    %rax, GATE_RSP(%rcx)
        movq    (%rsp), %rax
        movq    %rax, GATE_RIP(%rcx)
        pushfq
        popq    GATE_RFLAGS(%rcx)

        testq   %rdx, %rdx
        jz      2f
        testq   $63, %rdx
        jnz     3f
        movq    C(capture_area_size)(%rip), %rax
        testq   %rax, %rax
        jz      3f
        cmpq    %rax, %r8
        jb      3f
        movq    %rdx, %r9
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
        movq    %r9, %rdx
2:      jmp     C(capture_finish)
        /* A processor without XSAVE: the area ends where a header would begin. */
4:      fxsave64 (%r9)
        jmp     C(capture_finish)
3:      movl    $INVALID, %eax
        ret
        END(segue_mutator_capture)

        SECTION_BSS(capture_area_size)
        .p2align 3
OBJECT(capture_area_size)
        .zero   8
OBJECT(capture_features)
        .zero   8

        END_OF_FILE
