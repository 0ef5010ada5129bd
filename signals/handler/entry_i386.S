/* entry_i386.S: where the kernel enters the library, as it enters any handler: with its return address on top of the
 * stack, and then the signal's number, siginfo and ucontext.
 *
 * A handler that interrupts this code, at any of its instructions, finds the interrupted program's frame (entry.c) by
 * esp, or by the record in the thread's list. So the labels between the instructions are part of the interface.
 */
#if !defined(__i386__)
#error "entry_i386.S is specific to i386"
#endif

#include "ctx/layout.h"
#include "platform/asm.h"
#include "platform/asm_calls.h"
#include "platform/frame/entry_layout.h"

#define ARGUMENT_NUMBER 4
#define ARGUMENT_INFO 8
#define ARGUMENT_UCONTEXT 12
/* The arguments of signal_serve and suspend_serve. */
#define RECORD 16

        SECTION_TEXT(signal_entry)
        .p2align 4
FUNCTION(signal_entry)
        .cfi_startproc
        _CET_ENDBR
        /* The frame is on the alternate stack and leaves less room there than the entry needs. */
        movl    ARGUMENT_UCONTEXT(%esp), %edx
        movl    %esp, %ecx
        subl    ENTRY_STACK(%edx), %ecx
        cmpl    ENTRY_STACK_SIZE(%edx), %ecx
        ja      C(signal_begin)
        cmpl    $ENTRY_ROOM, %ecx
        jae     C(signal_begin)
        jmp     C(signal_without_room)
LABEL(signal_entry_end)
        .cfi_endproc
        END(signal_entry)

        SECTION_TEXT(suspend_entry)
        .p2align 4
FUNCTION(suspend_entry)
        .cfi_startproc
        _CET_ENDBR
        movl    %esp, %ecx
        subl    $RECORD + HANDLING_SIZE, %esp
        .cfi_adjust_cfa_offset RECORD + HANDLING_SIZE
LABEL(suspend_room_made)
        movl    %ecx, 12(%esp)
        movl    ARGUMENT_UCONTEXT(%ecx), %edx
        movl    %edx, 8(%esp)
        movl    ARGUMENT_INFO(%ecx), %edx
        movl    %edx, 4(%esp)
        movl    ARGUMENT_NUMBER(%ecx), %edx
        movl    %edx, (%esp)
        call    C(suspend_serve)
LABEL(suspend_served)
        addl    $RECORD + HANDLING_SIZE, %esp
        .cfi_adjust_cfa_offset -(RECORD + HANDLING_SIZE)
LABEL(suspend_return)
        ret
LABEL(suspend_entry_end)
        .cfi_endproc
        END(suspend_entry)

/* signal_without_room (as the kernel calls it): restores the default action and queues the signal again, so that the
 * thread dies of it when this returns. If the kernel cannot queue it, the instruction runs once more and faults without
 * a handler. A signal that was queued, or has lost its siginfo on the way, may be a remover's question, which the
 * remover repeats: it is ignored. The handler's callers keep no register that this changes. */
        SECTION_TEXT(signal_without_room)
        .p2align 4
LOCAL_FUNCTION(signal_without_room)
        .cfi_startproc
        movl    ARGUMENT_INFO(%esp), %esi
        .cfi_undefined %esi
        cmpl    $ENTRY_CODE_USER, ENTRY_CODE(%esi)
        jg      1f
        je      2f
        cmpl    $ENTRY_CODE_QUEUE, ENTRY_CODE(%esi)
        je      3f
        jmp     1f
2:      cmpl    $0, ENTRY_PID(%esi)
        je      3f
1:      call    4f
4:      .cfi_adjust_cfa_offset 4
        popl    %ebp
        .cfi_adjust_cfa_offset -4
        .cfi_undefined %ebp
        movl    ARGUMENT_NUMBER(%esp), %ebx
        .cfi_undefined %ebx
        movl    %esi, %edi
        .cfi_undefined %edi
        leal    LOCAL(default_action) - 4b(%ebp), %ecx
        SET_SIGNAL_ACTION (%ecx)
        leal    LOCAL(bits_of_signals) - SIGNAL_MASK_SIZE - 4b(%ebp, %ebx, SIGNAL_MASK_SIZE), %ecx
        BLOCK_SIGNALS (%ecx)
        GET_THREAD_ID
        movl    %eax, %ecx
        GET_PROCESS_ID
        movl    %eax, %ebx
        movl    ARGUMENT_NUMBER(%esp), %edx
        movl    %edi, %esi
        QUEUE_SIGNAL
3:      ret
        .cfi_endproc
        END(signal_without_room)

        /* Beside the code, which finds them without a relocation. */
        .p2align 3
LOCAL_LABEL(default_action)
        .zero   SIGNAL_ACTION_SIZE
        .p2align 3
LOCAL_LABEL(bits_of_signals)
        .set    number, 0
        .rept   64
        .quad   1 << number
        .set    number, number + 1
        .endr

/* signal_begin (as the kernel calls a handler): links a record of the frame at the head of the thread's list
 * (../ctx/handling.h), and unlinks it when the handler returns.
 *
 *      +28  return address
 *      +24  the record's own address
 *      +20  the record around this one
 *      +16  ucontext                            <- the record
 *      +12  the stack pointer at the entry
 *       +8  ucontext
 *       +4  info
 *       +0  number
 */
        SECTION_TEXT(signal_begin)
        .p2align 4
FUNCTION(signal_begin)
        .cfi_startproc
        _CET_ENDBR
        movl    ARGUMENT_UCONTEXT(%esp), %edx
        movl    %esp, %ecx
        THREAD_LOCAL(handling_innermost, %eax)
        subl    $RECORD + HANDLING_SIZE, %esp
        .cfi_adjust_cfa_offset RECORD + HANDLING_SIZE
LABEL(signal_room_made)
        movl    %ecx, 12(%esp)
        movl    %edx, 8(%esp)
        movl    ARGUMENT_INFO(%ecx), %edx
        movl    %edx, 4(%esp)
        movl    ARGUMENT_NUMBER(%ecx), %edx
        movl    %edx, (%esp)
        movl    8(%esp), %edx
        movl    %edx, RECORD + HANDLING_UCONTEXT(%esp)
        movl    TLS_AT(%eax), %edx
        leal    RECORD(%esp), %ecx
        /* An abandoned handler had its record at this very address: this record takes over that one's outer record. */
        cmpl    %ecx, %edx
        je      1f
        movl    %edx, HANDLING_OUTER(%ecx)
1:      movl    %ecx, HANDLING_SELF(%ecx)
        movl    %ecx, TLS_AT(%eax)
LABEL(signal_recorded)
        call    C(signal_serve)
        THREAD_LOCAL(handling_innermost, %eax)
        movl    RECORD + HANDLING_OUTER(%esp), %ecx
        movl    %ecx, TLS_AT(%eax)
LABEL(signal_forgotten)
        addl    $RECORD + HANDLING_SIZE, %esp
        .cfi_adjust_cfa_offset -(RECORD + HANDLING_SIZE)
LABEL(signal_return)
        ret
LABEL(signal_begin_end)
        .cfi_endproc
        END(signal_begin)

        END_OF_FILE
