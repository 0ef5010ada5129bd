/* entry_layout.h: what the assembly of a handler's entry reads in the kernel's frame; frame.c compares it with the C
 * structs. */
#ifndef SEGUE_PLATFORM_ENTRY_LAYOUT_H
#define SEGUE_PLATFORM_ENTRY_LAYOUT_H

/* The alternate stack, in the ucontext. */
#define ENTRY_STACK 16
#define ENTRY_STACK_SIZE 32

/* In the siginfo. */
#define ENTRY_CODE 8
#define ENTRY_PID 16

/* The stack that the way from the entry to the end of a guarded access's fault takes, and to the death of a fault that
 * has no room. With less there is nothing but the death. */
#define ENTRY_ROOM 512

#endif
