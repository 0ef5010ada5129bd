/* stack_bounds.h: for assembly on i386: what the system keeps in the thread's block of the stack in use, and of the
 * handlers of exceptions on it. Where it keeps nothing, the macros are empty.
 *
 *      KEEP_STACK_BOUNDS place, register, other    to place(register): the handlers' record (SEH), the stack's bounds
 *      TAKE_STACK_BOUNDS place, register, other    from there; `other` is changed
 *      KEEP_HANDLERS place, register, other        the handlers' record alone
 *      TAKE_HANDLERS place, register, other
 *
 * SOURCES: ReactOS sdk/include/ndk/i386 (NT_TIB: ExceptionList, StackBase, StackLimit; TEB: DeallocationStack). */
#ifndef SEGUE_PLATFORM_FRAME_STACK_BOUNDS_H
#define SEGUE_PLATFORM_FRAME_STACK_BOUNDS_H

#if !defined(__i386__)
#error "stack_bounds.h is specific to i386"
#endif

#if defined(_WIN32)

#define BLOCK_HANDLERS %fs:0
#define BLOCK_BASE %fs:4
#define BLOCK_LIMIT %fs:8
#define BLOCK_WHOLE %fs:0xe0c

.macro KEEP_HANDLERS place, register, other
        movl    BLOCK_HANDLERS, \other
        movl    \other, \place(\register)
.endm
.macro TAKE_HANDLERS place, register, other
        movl    \place(\register), \other
        movl    \other, BLOCK_HANDLERS
.endm
.macro KEEP_STACK_BOUNDS place, register, other
        movl    BLOCK_BASE, \other
        movl    \other, \place(\register)
        movl    BLOCK_LIMIT, \other
        movl    \other, \place + 8(\register)
        movl    BLOCK_WHOLE, \other
        movl    \other, \place + 16(\register)
        KEEP_HANDLERS \place + 24, \register, \other
.endm
.macro TAKE_STACK_BOUNDS place, register, other
        movl    \place(\register), \other
        movl    \other, BLOCK_BASE
        movl    \place + 8(\register), \other
        movl    \other, BLOCK_LIMIT
        movl    \place + 16(\register), \other
        movl    \other, BLOCK_WHOLE
        TAKE_HANDLERS \place + 24, \register, \other
.endm

#else

.macro KEEP_HANDLERS place, register, other
.endm
.macro TAKE_HANDLERS place, register, other
.endm
.macro KEEP_STACK_BOUNDS place, register, other
.endm
.macro TAKE_STACK_BOUNDS place, register, other
.endm

#endif

#endif
