/* entry_x86_64.S: where the kernel enters the library. Nothing before signal_begin may use thread-local storage: the
 * segment bases may be a guest's.
 *
 * A handler that interrupts this code, at any of its instructions, finds the interrupted program's frame (entry.c) by
 * rdx, by the record in the thread's list, or by rsp. So the labels between the instructions are part of the
 * interface.
 */
#if !defined(__x86_64__)
#error "entry_x86_64.S is specific to x86-64"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/entry_layout.h"

/* Goes to `without_room` if the frame is on the alternate stack and leaves less room there than the entry needs. */
.macro LOOK_AT_ROOM without_room
        movq    %rsp, %rcx
        subq    ENTRY_STACK(%rdx), %rcx
        cmpq    ENTRY_STACK_SIZE(%rdx), %rcx
        ja      1f
        cmpq    $ENTRY_ROOM, %rcx
        jb      \without_room
1:
.endm

/* Both (edi number, rsi info, rdx ucontext). */
.macro ENTER serve
        leaq    \serve(%rip), %rax
        movq    %rsp, %rcx
        jmp     C(guest_run_handler)
.endm

        SECTION_HOT(signal_entry)
        .p2align 4
FUNCTION(signal_entry)
        .cfi_startproc
        _CET_ENDBR
        LOOK_AT_ROOM C(signal_without_room)
        ENTER   C(signal_begin)
LABEL(signal_entry_end)
        .cfi_endproc
        END(signal_entry)

        SECTION_TEXT(suspend_entry)
        .p2align 4
FUNCTION(suspend_entry)
        .cfi_startproc
        _CET_ENDBR
        ENTER   C(suspend_serve)
LABEL(suspend_entry_end)
        .cfi_endproc
        END(suspend_entry)

/* signal_without_room (edi number, rsi info): restores the default action and queues the signal again, so that the
 * thread dies of it when this returns. If the kernel cannot queue it, the instruction runs once more and faults without
 * a handler. Uses no stack and no thread-local storage: the segment bases may be a guest's. A signal that was queued,
 * or has lost its siginfo on the way, may be a remover's question, which the remover repeats: it is ignored. */
        SECTION_TEXT(signal_without_room)
        .p2align 4
LOCAL_FUNCTION(signal_without_room)
        .cfi_startproc
        cmpl    $ENTRY_CODE_USER, ENTRY_CODE(%rsi)
        jg      1f
        je      2f
        cmpl    $ENTRY_CODE_QUEUE, ENTRY_CODE(%rsi)
        je      3f
        jmp     1f
2:      cmpl    $0, ENTRY_PID(%rsi)
        je      3f
1:      movl    %edi, %r8d
        movq    %rsi, %r9
        SET_SIGNAL_ACTION LOCAL(default_action)(%rip)
        leaq    LOCAL(bits_of_signals)(%rip), %rsi
        leaq    -SIGNAL_MASK_SIZE(%rsi, %r8, SIGNAL_MASK_SIZE), %rsi
        BLOCK_SIGNALS (%rsi)
        GET_THREAD_ID
        movl    %eax, %esi
        GET_PROCESS_ID
        movl    %eax, %edi
        movl    %r8d, %edx
        movq    %r9, %r10
        QUEUE_SIGNAL
3:      ret
        .cfi_endproc
        END(signal_without_room)

        SECTION_CONSTANT(signal_without_room)
        .p2align 3
LOCAL_LABEL(default_action)
        .zero   SIGNAL_ACTION_SIZE
LOCAL_LABEL(bits_of_signals)
        .set    number, 0
        .rept   64
        .quad   1 << number
        .set    number, number + 1
        .endr

/* signal_begin (edi number, rsi info, rdx ucontext, rcx the stack pointer at the entry): links a record of the frame at
 * the head of the thread's list (../ctx/handling.h), and unlinks it if the handler returns; a direct restore unlinks
 * the record itself.
 *
 *      +24  return address
 *      +16  the record's own address
 *       +8  the record around this one
 *       +0  ucontext
 */
        SECTION_HOT(signal_begin)
        .p2align 4
FUNCTION(signal_begin)
        .cfi_startproc
        _CET_ENDBR
        THREAD_LOCAL(handling_innermost, %rax)
        movq    TLS_AT(%rax), %r8
        subq    $HANDLING_SIZE, %rsp
        .cfi_adjust_cfa_offset HANDLING_SIZE
        /* An abandoned handler had its record at this very address: this record takes over that one's outer record. */
        cmpq    %rsp, %r8
        je      1f
        movq    %r8, HANDLING_OUTER(%rsp)
1:      movq    %rdx, HANDLING_UCONTEXT(%rsp)
        movq    %rsp, HANDLING_SELF(%rsp)
        movq    %rsp, TLS_AT(%rax)
LABEL(signal_recorded)
        call    C(signal_serve)
        THREAD_LOCAL(handling_innermost, %rax)
        movq    HANDLING_OUTER(%rsp), %rcx
        movq    %rcx, TLS_AT(%rax)
LABEL(signal_forgotten)
        addq    $HANDLING_SIZE, %rsp
        .cfi_adjust_cfa_offset -HANDLING_SIZE
LABEL(signal_return)
        ret
LABEL(signal_begin_end)
        .cfi_endproc
        END(signal_begin)

        END_OF_FILE
