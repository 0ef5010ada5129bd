/* relay_x86_64.S: the last step before a chained handler. The handler's signal mask takes effect only when the thread
 * is on the handler's stack: so a collector whose signal was deferred suspends the thread there, and not on the
 * library's stack. The same holds for the alternate stack, which a thread cannot change while it is on it.
 *
 *      rsp ->  rflags rcx r10 r11 rdx rsi rdi      clobbered by the system call; values for the handler
 *              mask
 *              the address of the alternate stack's words, 0 if it is unchanged; those words
 *              handler
 *              the kernel's frame                  <- rsp at the handler's first instruction
 *
 * Unwinding: the caller is the interrupted code, as it is from the handler's first instruction on. */
#if !defined(__x86_64__)
#error "relay_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/frame_cfi_x86_64.h"
#include "platform/handlers/relay_layout.h"

/* The frame begins with the handler's return address. */
#define UCONTEXT (RELAY_SIZE + 8)

        SECTION_TEXT(relay_gate)
        .p2align 4
FUNCTION(relay_gate)
        .cfi_startproc
        .cfi_signal_frame
        CFI_UCONTEXT UCONTEXT
        movq    RELAY_STACK(%rsp), %rdi
        testq   %rdi, %rdi
        jz      1f
        SET_ALTERNATE_STACK
1:      SET_SIGNAL_MASK RELAY_MASK(%rsp)
        xorl    %eax, %eax
        movq    RELAY_RCX(%rsp), %rcx
        movq    RELAY_R10(%rsp), %r10
        movq    RELAY_R11(%rsp), %r11
        movq    RELAY_RDX(%rsp), %rdx
        movq    RELAY_RSI(%rsp), %rsi
        movq    RELAY_RDI(%rsp), %rdi
        popfq
        CFI_UCONTEXT (UCONTEXT - 8)
LABEL(relay_gate_popped)
        leaq    RELAY_HANDLER - 8(%rsp), %rsp
        CFI_UCONTEXT (UCONTEXT - RELAY_HANDLER)
LABEL(relay_gate_last)
        ret
LABEL(relay_gate_end)
        .cfi_endproc
        END(relay_gate)

        END_OF_FILE
