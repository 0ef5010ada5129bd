/* oracle_i386.S: loads a full state, jumps to the slot, and captures what is there when it comes back (see states.c).
 * Its memory is at fixed addresses: the program is not position-independent. */
#if !defined(__i386__)
#error "oracle_i386.S is specific to i386"
#endif

#include "decode/x86/registers.h"
#include "platform/asm.h"
#include "oracle.h"

#define FIELD(offset) C(oracle_context) + (offset)

        .text

.macro LOAD register, place
        movl    FIELD(\place), \register
.endm
.macro STORE register, place
        movl    \register, FIELD(\place)
.endm

/* void oracle_enter(void) */
        .p2align 4
FUNCTION(oracle_enter)
        .cfi_startproc
        KEEP_CALLEE_SAVED
        pushfl
        .cfi_adjust_cfa_offset 4
        .cfi_remember_state
        movl    FIELD(ORACLE_FEATURES), %eax
        xorl    %edx, %edx
        movl    FIELD(ORACLE_IMAGE_HOST), %ecx
        xsave   (%ecx)
        movl    FIELD(ORACLE_IMAGE_BEFORE), %ecx
        xrstor  (%ecx)
        movl    %esp, FIELD(ORACLE_HOST_STACK)
        .cfi_undefined %eip
        /* The flags' own place is the stack for one instruction; the moves after it leave them alone. */
        movl    $FIELD(ORACLE_BEFORE + ORACLE_RFLAGS), %esp
        popfl
        EACH_REGISTER_BUT_RDI LOAD, ORACLE_BEFORE
        LOAD    %edi, ORACLE_BEFORE + ORACLE_RDI
        LOAD    %esp, ORACLE_BEFORE + ORACLE_RSP
        jmp     *FIELD(ORACLE_CODE)

/* Every slot, and a fault in a slot, leads here. */
LABEL(oracle_landing)
        EACH_REGISTER_BUT_RDI STORE, ORACLE_AFTER
        STORE   %edi, ORACLE_AFTER + ORACLE_RDI
        STORE   %esp, ORACLE_AFTER + ORACLE_RSP
        movl    $FIELD(ORACLE_AFTER + ORACLE_RFLAGS + 4), %esp
        pushfl
        movl    FIELD(ORACLE_HOST_STACK), %esp
        .cfi_restore_state
        movl    FIELD(ORACLE_FEATURES), %eax
        xorl    %edx, %edx
        movl    FIELD(ORACLE_IMAGE_AFTER), %ecx
        xsave   (%ecx)
        movl    FIELD(ORACLE_IMAGE_HOST), %ecx
        xrstor  (%ecx)
        popfl
        .cfi_adjust_cfa_offset -4
        RESTORE_CALLEE_SAVED
        ret
        .cfi_endproc
        END(oracle_enter)

        END_OF_FILE
