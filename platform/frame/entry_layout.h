/* entry_layout.h: the fields of the kernel's frame that the assembly of a handler's entry reads; frame.c checks them
 * against the C structs. */
#ifndef SEGUE_PLATFORM_ENTRY_LAYOUT_H
#define SEGUE_PLATFORM_ENTRY_LAYOUT_H

#if defined(__i386__)
/* From the handler's return address, with which the frame begins, to the ucontext. */
#define ENTRY_CONTEXT 144
/* The alternate stack, in the ucontext. */
#define ENTRY_STACK 8
#define ENTRY_STACK_SIZE 16
/* In the siginfo. */
#define ENTRY_CODE 8
#define ENTRY_PID 12
#else
#define ENTRY_CONTEXT 8
#define ENTRY_STACK 16
#define ENTRY_STACK_SIZE 32
#define ENTRY_CODE 8
#define ENTRY_PID 16
#endif

/* ENTRY_CODE of a signal that was sent, and of one that was queued. */
#define ENTRY_CODE_USER 0
#define ENTRY_CODE_QUEUE -1

/* The stack needed from the handler's entry to the end of a guarded access's fault, and to the death of a fault that
 * has no room. With less, the thread can only die. */
#define ENTRY_ROOM 512

#endif
