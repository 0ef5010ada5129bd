/* oracle_x86_64.S: loads a full state, jumps to the slot, and captures what is there when it comes back (see oracle.h).
 *
 *      host stack at oracle_enter          while the state is loaded
 *          +56  return address             rsp       the caller's to choose, like all other registers
 *          +48  rbp                        rip       the slot, which leads to oracle_landing
 *          +40  rbx                        memory    oracle_context, addressed from rip alone
 *          +32  r12
 *          +24  r13
 *          +16  r14
 *           +8  r15
 *           +0  rflags    <- kept in the context, there is no other way back
 *
 * From the first foreign register on there is nothing that an unwinder could follow; rip is marked undefined there. */
#include <cet.h>

#include "decode/x86/registers.h"
#include "platform/asm.h"
#include "oracle.h"

#define FIELD(offset) oracle_context+(offset)(%rip)

        .text

.macro LOAD register, place
        movq    FIELD(\place), \register
.endm
.macro STORE register, place
        movq    \register, FIELD(\place)
.endm

/* void oracle_enter(void) */
        .globl  oracle_enter
        .hidden oracle_enter
        .type   oracle_enter, @function
        .p2align 4
oracle_enter:
        .cfi_startproc
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        pushfq
        .cfi_adjust_cfa_offset 8
        .cfi_remember_state

        movl    FIELD(ORACLE_FEATURES), %eax
        movl    FIELD(ORACLE_FEATURES + 4), %edx
        movq    FIELD(ORACLE_IMAGE_BEFORE), %rcx
        xrstor64 (%rcx)
        movq    %rsp, FIELD(ORACLE_HOST_STACK)
        .cfi_undefined %rip
        /* The flags' own place is the stack for one instruction; the moves after it leave them alone. */
        leaq    FIELD(ORACLE_BEFORE + ORACLE_RFLAGS), %rsp
        popfq
        EACH_REGISTER LOAD, ORACLE_BEFORE
        LOAD    %rsp, ORACLE_BEFORE + ORACLE_RSP
        jmp     *FIELD(ORACLE_CODE)

/* Every slot, and a fault in a slot, leads here. */
        .globl  oracle_landing
        .hidden oracle_landing
oracle_landing:
        _CET_ENDBR
        EACH_REGISTER STORE, ORACLE_AFTER
        STORE   %rsp, ORACLE_AFTER + ORACLE_RSP
        leaq    FIELD(ORACLE_AFTER + ORACLE_RFLAGS + 8), %rsp
        pushfq
        movq    FIELD(ORACLE_HOST_STACK), %rsp
        .cfi_restore_state
        movl    FIELD(ORACLE_FEATURES), %eax
        movl    FIELD(ORACLE_FEATURES + 4), %edx
        movq    FIELD(ORACLE_IMAGE_AFTER), %rcx
        xsave64 (%rcx)
        movq    FIELD(ORACLE_IMAGE_HOST), %rcx
        xrstor64 (%rcx)
        popfq
        .cfi_adjust_cfa_offset -8
        RESTORE_CALLEE_SAVED
        ret
        .cfi_endproc
        .size   oracle_enter, . - oracle_enter

        .section .note.GNU-stack, "", @progbits
