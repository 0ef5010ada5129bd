/* guest_x86_64.S: enters and leaves a guest; and what a signal handler must do before it can run C.
 *
 * The two pages of a gate:
 *
 *      +0      code, copied from gate_code below: addresses the data relative to itself
 *      +4096   data, struct gate
 *
 *   guest_go (the library)         callee-saved registers to the host's stack, extended state, bases
 *   gate_enter (the page)          flags, all registers, and a jump through the data
 *   ...the guest...
 *   gate_entry (the library)       what every guest calls: jumps by guest_way to
 *   gate_call (the page)             all registers and flags to the data, or
 *   guest_dispatch (the library)     the same, if several threads have run guests: finds the page by the TID
 *   guest_out (the library)        bases, extended state, the host's stack and registers
 *
 * The host's stack in the meantime:
 *
 *      return address of guest_go
 *      rbp rbx r12 r13 r14 r15     <- host_rsp
 */
#if !defined(__x86_64__)
#error "guest_x86_64.S is specific to x86-64"
#endif

#include "decode/x86/flags.h"
#include "decode/x86/registers.h"
#include "ctx/state/vector_moves_x86_64.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"

/* Trap, direction, nested task, alignment check: flags that a host's code does not expect to be set. */
#define UNEXPECTED_FLAGS (FLAG_ALIGNMENT | FLAG_NESTED_TASK | FLAG_DIRECTION | FLAG_TRAP)

/* ---- the page ---- */

        SECTION_TEXT(gate_code)
        .p2align 6
LABEL(gate_code)
LOCAL_LABEL(gate_code)
#define DATA(offset) (LOCAL(gate_code) + GATE_CODE_SIZE + offset)(%rip)

.macro LOAD register, place
        movq    DATA(\place), \register
.endm
.macro STORE register, place
        movq    \register, DATA(\place)
.endm

/* MOV changes no flag, so the flags may be loaded first. */
LABEL(gate_enter)
        _CET_ENDBR
        leaq    DATA(GATE_RFLAGS), %rsp
        popfq
        EACH_REGISTER LOAD
        movq    DATA(GATE_RSP), %rsp
        jmp     *DATA(GATE_RIP)

/* With the trap flag, which would trap in here: one instruction loads all. */
LABEL(gate_enter_iret)
        _CET_ENDBR
        EACH_REGISTER LOAD
        leaq    DATA(GATE_IRET), %rsp
        iretq
LABEL(gate_enter_end)

/* The guest's call. */
        .p2align 4
LABEL(gate_call)
        _CET_ENDBR
        EACH_REGISTER STORE
LABEL(gate_call_stored)
        movq    (%rsp), %rax
        leaq    8(%rsp), %rcx
        movq    %rax, DATA(GATE_RIP)
        movq    %rcx, DATA(GATE_RSP)
LABEL(gate_call_left)
        leaq    DATA(GATE_RFLAGS + 8), %rsp
        pushfq
        leaq    DATA(0), %rbx
        movl    $GUEST_CALLED, GATE_REASON(%rbx)
        jmp     *GATE_OUT(%rbx)
LABEL(gate_code_end)

/* ---- the library's part ---- */

        SECTION_TEXT(guest_go)

/* By a system call: noted first, so that a handler that comes in between puts back what is about to be set. */
.macro SET_NOTED_FS_BASE base, gate
        movq    \base, %rax
        movq    %rax, GATE_SET_FS(\gate)
        SET_FS_BASE "\base"
.endm

.macro SET_NOTED_GS_BASE base, gate
        movq    \base, %rax
        movq    %rax, GATE_SET_GS(\gate)
        SET_GS_BASE "\base"
.endm

/* guest_go (rdi gate) */
        .p2align 4
LABEL(guest_text_begin)
FUNCTION(guest_go)
        .cfi_startproc
        _CET_ENDBR
        KEEP_CALLEE_SAVED
        movq    %rdi, %rbx
        movq    %rsp, GATE_HOST_RSP(%rbx)
        stmxcsr GATE_HOST_MXCSR(%rbx)
        fnstcw  GATE_HOST_X87(%rbx)
        movl    $GUEST_STOPPED, GATE_REASON(%rbx)
        /* From here on a signal handler sets the host's bases first. */
        movl    $PLACE_GUEST, GATE_PLACE(%rbx)
LABEL(guest_go_commit)
        /* From here to the guest's first instruction, a request to stop makes a handler's return go to guest_landed. */
        cmpl    $0, GATE_STOP(%rbx)
        jne     LOCAL(landed)
        movq    GATE_AREA(%rbx), %rsi
        testq   %rsi, %rsi
        jz      1f
        cmpl    $0, GATE_BY_MOVES(%rbx)
        jne     5f
        movl    GATE_FEATURES(%rbx), %eax
        movl    GATE_FEATURES+4(%rbx), %edx
        xrstor64 (%rsi)
        jmp     1f
5:      LOAD_VECTORS load
1:      movq    GATE_FS_BASE(%rbx), %rax
        movq    GATE_GS_BASE(%rbx), %rcx
        cmpl    $0, GATE_BY_SYSTEM_CALL(%rbx)
        jne     2f
        wrfsbase %rax
        cmpq    GATE_HOST_GS(%rbx), %rcx
        je      3f
        wrgsbase %rcx
3:      jmp     *GATE_IN(%rbx)
2:      cmpq    GATE_HOST_GS(%rbx), %rcx
        je      4f
        SET_NOTED_GS_BASE GATE_GS_BASE(%rbx), %rbx
4:      SET_NOTED_FS_BASE GATE_FS_BASE(%rbx), %rbx
        jmp     *GATE_IN(%rbx)

/* guest_out (rbx gate), with the stack pointer in the gate's data, or the guest's: nothing is written to the stack. */
        .p2align 4
LABEL_FUNCTION(guest_out)
        _CET_ENDBR
        cmpl    $PLACE_GUEST, GATE_PLACE(%rbx)
        jne     LOCAL(guest_misused)
        .cfi_remember_state
        /* The caller is the host's, by the stack it left: DW_OP_breg3 (rbx) host_rsp, deref, + 56. */
        .cfi_escape 0x0f, 6, 0x73, (GATE_HOST_RSP & 0x7f) | 0x80, GATE_HOST_RSP >> 7, 0x06, 0x23, 56
        movq    GATE_HOST_RSP(%rbx), %rsp
        testl   $UNEXPECTED_FLAGS, GATE_RFLAGS(%rbx)
        jz      1f
        pushq   $0x202
        popfq
1:      cmpl    $0, GATE_BY_SYSTEM_CALL(%rbx)
        jne     2f
        rdfsbase %rax
        rdgsbase %rcx
        movq    %rax, GATE_FS_BASE(%rbx)
        movq    %rcx, GATE_GS_BASE(%rbx)
        movq    GATE_HOST_FS(%rbx), %rax
        movq    GATE_HOST_GS(%rbx), %rdx
        wrfsbase %rax
        cmpq    %rdx, %rcx
        je      3f
        wrgsbase %rdx
        jmp     3f
2:      SET_NOTED_FS_BASE GATE_HOST_FS(%rbx), %rbx
        movq    GATE_HOST_GS(%rbx), %rsi
        cmpq    GATE_GS_BASE(%rbx), %rsi
        je      3f
        SET_NOTED_GS_BASE GATE_HOST_GS(%rbx), %rbx
3:      movq    GATE_AREA(%rbx), %rsi
        testq   %rsi, %rsi
        jz      4f
        cmpl    $0, GATE_BY_MOVES(%rbx)
        jne     5f
        movl    GATE_FEATURES(%rbx), %eax
        movl    GATE_FEATURES+4(%rbx), %edx
        xsave64 (%rsi)
        testl   $COMPONENT_AVX, GATE_FEATURES(%rbx)
        jz      4f
        vzeroupper                      /* dirty upper halves would slow the host's SSE code */
4:      fnstsw  %ax                     /* first: an exception that waits would be raised by EMMS */
        testb   %al, %al
        jz      6f
        fnclex
6:      emms
        jmp     LOCAL(landed)
5:      STORE_VECTORS store
        .cfi_restore_state
        jmp     LOCAL(landed)

/* guest_landed (rdi gate): the target of a handler's return. The stack is the guest's, and perhaps the bases. */
        .p2align 4
LABEL_FUNCTION(guest_landed)
        _CET_ENDBR
        .cfi_remember_state
        .cfi_escape 0x0f, 6, 0x75, (GATE_HOST_RSP & 0x7f) | 0x80, GATE_HOST_RSP >> 7, 0x06, 0x23, 56
        movq    GATE_HOST_RSP(%rdi), %rsp
        .cfi_restore_state
        movq    %rdi, %rbx
        cmpl    $0, GATE_BY_SYSTEM_CALL(%rbx)
        jne     1f
        movq    GATE_HOST_FS(%rbx), %rax
        wrfsbase %rax
        movq    GATE_HOST_GS(%rbx), %rax
        wrgsbase %rax
        jmp     LOCAL(landed)
1:      SET_NOTED_FS_BASE GATE_HOST_FS(%rbx), %rbx
        SET_NOTED_GS_BASE GATE_HOST_GS(%rbx), %rbx
LOCAL_LABEL(landed)
        fldcw   GATE_HOST_X87(%rbx)
        ldmxcsr GATE_HOST_MXCSR(%rbx)
        movl    $PLACE_HOST, GATE_PLACE(%rbx)
        RESTORE_CALLEE_SAVED
        ret
        .cfi_endproc
        END(guest_go)

/* ---- what guests call ---- */

.macro STORE_TO_GATE register, place
        movq    \register, \place(%rbx)
.endm

        .p2align 4
FUNCTION(gate_entry)
        .cfi_startproc
        .cfi_undefined %rip
        _CET_ENDBR
        jmp     *C(guest_way)(%rip)

/* guest_dispatch: finds the thread's gate by its TID. It needs the guest's stack for five registers and the flags; the
 * lowest word is written first, so that missing memory faults before anything has changed.
 *
 *      return address          <- rsp at the call
 *      rax rcx r11 rdx flags
 *      rbx
 */
        .p2align 4
LABEL(guest_dispatch)
        _CET_ENDBR
        movq    %rbx, -48(%rsp)
        movq    %rax, -8(%rsp)
        movq    %rcx, -16(%rsp)
        movq    %r11, -24(%rsp)
        movq    %rdx, -32(%rsp)
LABEL(guest_dispatch_begun)
        leaq    -32(%rsp), %rsp
        pushfq
        leaq    -8(%rsp), %rsp
        GET_THREAD_ID
        movl    %eax, %ecx
        leaq    C(guest_threads)(%rip), %rbx
        movl    $THREAD_COUNT, %r11d
1:      andl    $(THREAD_COUNT - 1), %ecx
        movl    %ecx, %edx
        shll    $4, %edx
        cmpl    %eax, THREAD_NUMBER(%rbx, %rdx)
        je      2f
        cmpl    $0, THREAD_NUMBER(%rbx, %rdx)
        je      3f
        incl    %ecx
        decl    %r11d
        jnz     1b
        jmp     3f
2:      movq    THREAD_GATE(%rbx, %rdx), %rax
        testq   %rax, %rax
        jz      3f
        cmpl    $PLACE_GUEST, GATE_PLACE(%rax)
        jne     3f
        movq    %rax, %rdx
        movq    0(%rsp), %rax
        movq    %rax, 8(%rdx)                   /* rbx, in struct segue_regs */
        movq    8(%rsp), %rax
        movq    %rax, GATE_RFLAGS(%rdx)
        movq    48(%rsp), %rax
        movq    %rax, GATE_RIP(%rdx)
        leaq    56(%rsp), %rax
        movq    %rax, GATE_RSP(%rdx)
        movq    %rdx, %rbx
        movq    16(%rsp), %rdx
        movq    24(%rsp), %r11
        movq    32(%rsp), %rcx
        movq    40(%rsp), %rax
        EACH_REGISTER_BUT_RBX STORE_TO_GATE
        movl    $GUEST_CALLED, GATE_REASON(%rbx)
        jmp     C(guest_out)
        /* The call belongs to no guest: restores all as it was at the call. */
3:      movq    0(%rsp), %rbx
        movq    16(%rsp), %rdx
        movq    24(%rsp), %r11
        movq    32(%rsp), %rcx
        movq    40(%rsp), %rax
        leaq    8(%rsp), %rsp
        popfq
        leaq    32(%rsp), %rsp
LABEL(guest_nobody)
        _CET_ENDBR
        ud2

/* A call while the only thread with guests runs no guest, or a handler: leaves its registers where a debugger shows
 * them. */
LOCAL_LABEL(guest_misused)
        movq    GATE_RSP(%rbx), %rsp
        leaq    -8(%rsp), %rsp
        ud2
        .cfi_endproc
        END(gate_entry)
LABEL(guest_text_end)

        SECTION_DATA(guest_way)
        .p2align 3
OBJECT(guest_way)
        .quad   C(guest_nobody)
        END(guest_way)

/* The x87 control word, MXCSR, and nothing else. */
        SECTION_CONSTANT(initial_state)
        .p2align 4
LOCAL_LABEL(initial_state)
        .short  FCW_INITIAL
        .zero   XSAVE_MXCSR - 2
        .long   MXCSR_INITIAL
        .zero   XSAVE_LEGACY_SIZE - XSAVE_MXCSR - 4

/* ---- signals ---- */

/* guest_run_handler (edi number, rsi info, rdx ucontext, rcx stack pointer, rax handler): runs the handler with the
 * host's bases; passes the stack pointer too, unless a guest was interrupted. The entries below jump to it, so its
 * stack is as the kernel calls a handler. Nothing before guest_handle may touch %fs or %gs.
 *
 *      return address (the kernel's restorer)
 *      rbp                 <- rbp
 *      rbx r12 r13 r14 r15
 *      rsi rdx             kept over the system calls
 *
 *      ebx number, r12 handler, r13 and r14 the bases that were in force, r15 gate
 */
        SECTION_HOT(guest_run_handler)
        .p2align 4
FUNCTION(guest_run_handler)
        .cfi_startproc
        cmpl    $0, C(guest_thread_count)(%rip)
        jne     1f
        jmp     *%rax
1:      KEEP    %rbp
LABEL(guest_run_handler_pushed)
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
LABEL(guest_run_handler_framed)
        pushq   %rbx
        .cfi_offset %rbx, -24
        pushq   %r12
        .cfi_offset %r12, -32
        pushq   %r13
        .cfi_offset %r13, -40
        pushq   %r14
        .cfi_offset %r14, -48
        pushq   %r15
        .cfi_offset %r15, -56
        pushq   %rsi
        pushq   %rdx
        subq    $8, %rsp
        movl    %edi, %ebx
        movq    %rax, %r12

        /* Finds the thread by its TID. An entry that was never used ends the search. */
        GET_THREAD_ID
        movl    %eax, %ecx
        leaq    C(guest_threads)(%rip), %r8
        movl    $THREAD_COUNT, %r9d
2:      andl    $(THREAD_COUNT - 1), %ecx
        movl    %ecx, %r10d
        shll    $4, %r10d
        movl    THREAD_NUMBER(%r8, %r10), %r11d
        testl   %r11d, %r11d
        jz      6f
        cmpl    %eax, %r11d
        je      3f
        incl    %ecx
        decl    %r9d
        jnz     2b
        jmp     6f
3:      movq    THREAD_GATE(%r8, %r10), %r15
        testq   %r15, %r15
        jz      6f
        cmpl    $PLACE_GUEST, GATE_PLACE(%r15)
        jne     6f

        /* Between guest_go and guest_landed. */
        cmpl    $0, GATE_BY_SYSTEM_CALL(%r15)
        jne     4f
        rdfsbase %r13
        rdgsbase %r14
        movq    GATE_HOST_FS(%r15), %rax
        wrfsbase %rax
        movq    GATE_HOST_GS(%r15), %rax
        wrgsbase %rax
        jmp     5f
4:      subq    $16, %rsp
        GET_FS_BASE (%rsp), GATE_SET_FS(%r15)
        GET_GS_BASE 8(%rsp), GATE_SET_GS(%r15)
        popq    %r13
        popq    %r14
        SET_NOTED_FS_BASE GATE_HOST_FS(%r15), %r15
        SET_NOTED_GS_BASE GATE_HOST_GS(%r15), %r15
        /* The kernel leaves the alignment check flag as the guest has set it; C code does not expect it. */
5:      pushfq
        andl    $~FLAG_ALIGNMENT, (%rsp)
        popfq
        movl    $PLACE_HANDLER, GATE_PLACE(%r15)
        movq    %r13, GATE_NOW_FS(%r15)
        movq    %r14, GATE_NOW_GS(%r15)
        movl    %ebx, %edi
        movq    -48(%rbp), %rsi
        movq    -56(%rbp), %rdx
        movq    %r12, %rcx
        movq    %r15, %r8
        call    C(guest_handle)
LABEL(guest_run_handler_tail)
        movl    $PLACE_GUEST, GATE_PLACE(%r15)
        cmpl    $0, GATE_BY_SYSTEM_CALL(%r15)
        jne     1f
        wrfsbase %r13
        wrgsbase %r14
        jmp     7f
1:      SET_NOTED_FS_BASE %r13, %r15
        SET_NOTED_GS_BASE %r14, %r15
        jmp     7f

        /* No guest. */
6:      movl    %ebx, %edi
        movq    -48(%rbp), %rsi
        movq    -56(%rbp), %rdx
        leaq    8(%rbp), %rcx
        call    *%r12
7:      addq    $24, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        .cfi_def_cfa %rsp, 8
LABEL(guest_run_handler_popped)
        ret
LABEL(guest_run_handler_end)
        .cfi_endproc
        END(guest_run_handler)

/* guest_signal_entry: as the kernel calls it. */
        SECTION_TEXT(guest_signal_entry)
        .p2align 4
FUNCTION(guest_signal_entry)
        .cfi_startproc
        _CET_ENDBR
        leaq    C(guest_handlers)(%rip), %rax
        movq    (%rax, %rdi, 8), %rax
        jmp     C(guest_run_handler)
LABEL(guest_signal_entry_end)
        .cfi_endproc
        END(guest_signal_entry)

        END_OF_FILE
