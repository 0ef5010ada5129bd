/* capture_i386.S: stores the calling thread's registers before anything else changes them.
 *
 * SOURCES: Intel SDM volume 1, 13.7 (XSAVE leaves all of the header but XSTATE_BV as it is). */
#if !defined(__i386__)
#error "capture_i386.S is specific to i386"
#endif

#include "ctx/layout.h"
#include "decode/x86/registers.h"
#include "decode/x86/xsave.h"
#include "platform/asm.h"

#define INVALID 2

/* Of those whose upper halves, and of the registers that 32-bit code lacks, the halves are zero. */
.macro STORE register, place
        movl    \register, \place(%edi)
        movl    $0, \place + 4(%edi)
.endm

/* segue_mutator_capture (context, area, size): the context begins with a struct segue_regs. EDI waits on the stack, and
 * EAX below it. */
        SECTION_TEXT(segue_mutator_capture)
        .p2align 4
PUBLIC_FUNCTION(segue_mutator_capture)
        .cfi_startproc
        _CET_ENDBR
        KEEP    %edi
        movl    8(%esp), %edi
        testl   %edi, %edi
        jz      3f
        /* MOV changes no flag; TEST has, but a caller expects none. */
        EACH_REGISTER_BUT_RDI STORE
        movl    (%esp), %eax
        STORE   %eax, 40
        leal    8(%esp), %eax
        STORE   %eax, GATE_RSP
        movl    4(%esp), %eax
        STORE   %eax, GATE_RIP
        pushfl
        .cfi_adjust_cfa_offset 4
        popl    %eax
        .cfi_adjust_cfa_offset -4
        STORE   %eax, GATE_RFLAGS
        xorl    %eax, %eax
        .irp    place, 64, 72, 80, 88, 96, 104, 112, 120
        STORE   %eax, \place
        .endr

        movl    12(%esp), %ecx
        testl   %ecx, %ecx
        jz      2f
        testl   $63, %ecx
        jnz     3f
        call    5f
5:      .cfi_adjust_cfa_offset 4
        popl    %edi
        .cfi_adjust_cfa_offset -4
        leal    C(capture_area_size) - 5b(%edi), %edi
        movl    (%edi), %eax
        testl   %eax, %eax
        jz      3f
        cmpl    %eax, 16(%esp)
        jb      3f
        cmpl    $XSAVE_LEGACY_SIZE, %eax
        je      4f
        movl    $16, %edx
1:      movl    $0, XSAVE_XSTATE_BV - 4(%ecx, %edx, 4)
        decl    %edx
        jnz     1b
        movl    8(%edi), %eax
        movl    12(%edi), %edx
        xsave   (%ecx)
        jmp     2f
        /* A processor without XSAVE: the area ends where a header would begin. */
4:      fxsave  (%ecx)
2:      .cfi_remember_state
        RESTORE %edi
        jmp     C(capture_finish)
        .cfi_restore_state
3:      movl    $INVALID, %eax
        RESTORE %edi
        ret
        .cfi_endproc
        END(segue_mutator_capture)

        SECTION_DATA(capture_area_size)
        .p2align 3
OBJECT(capture_area_size)
        .zero   8
OBJECT(capture_features)
        .zero   8

        END_OF_FILE
