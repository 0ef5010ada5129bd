/* oracle_x86_64.S: loads a full state, jumps to the slot, and captures what is there when it comes back (see
 * states.c). */
#if !defined(__x86_64__)
#error "oracle_x86_64.S is specific to x86-64"
#endif

#include "decode/x86/registers.h"
#include "platform/asm.h"
#include "oracle.h"

#define FIELD(offset) (C(oracle_context) + (offset))(%rip)

        .text

.macro LOAD register, place
        movq    FIELD(ORACLE_BEFORE + \place), \register
.endm
.macro STORE register, place
        movq    \register, FIELD(ORACLE_AFTER + \place)
.endm

/* void oracle_enter(void): the vectors that a caller keeps are among those of the host's image. */
        .p2align 4
FUNCTION(oracle_enter)
        .cfi_startproc
        KEEP_CALLEE_SAVED
        KEEP    %rsi
        KEEP    %rdi
        pushfq
        movl    FIELD(ORACLE_FEATURES), %eax
        xorl    %edx, %edx
        movq    FIELD(ORACLE_IMAGE_HOST), %rcx
        xsave64 (%rcx)
        movq    FIELD(ORACLE_IMAGE_BEFORE), %rcx
        xrstor64 (%rcx)
        movq    %rsp, FIELD(ORACLE_HOST_STACK)
        /* The flags' own place is the stack for one instruction; the moves after it leave them alone. */
        leaq    FIELD(ORACLE_BEFORE + ORACLE_RFLAGS), %rsp
        popfq
        EACH_REGISTER_BUT_RDI LOAD
        LOAD    %rdi, ORACLE_RDI
        LOAD    %rsp, ORACLE_RSP
        jmp     *FIELD(ORACLE_CODE)
        .cfi_endproc
        END(oracle_enter)

/* Every slot, and a fault in a slot, leads here. */
        .p2align 4
FUNCTION(oracle_landing)
        .cfi_startproc
        .cfi_def_cfa_offset 80
        EACH_REGISTER_BUT_RDI STORE
        STORE   %rdi, ORACLE_RDI
        STORE   %rsp, ORACLE_RSP
        leaq    FIELD(ORACLE_AFTER + ORACLE_RFLAGS + 8), %rsp
        pushfq
        movq    FIELD(ORACLE_HOST_STACK), %rsp
        movl    FIELD(ORACLE_FEATURES), %eax
        xorl    %edx, %edx
        movq    FIELD(ORACLE_IMAGE_AFTER), %rcx
        xsave64 (%rcx)
        movq    FIELD(ORACLE_IMAGE_HOST), %rcx
        xrstor64 (%rcx)
        popfq
        RESTORE %rdi
        RESTORE %rsi
        RESTORE_CALLEE_SAVED
        ret
        .cfi_endproc
        END(oracle_landing)

        END_OF_FILE
