/* flags_x86_64.h: the flags of a program.
 *
 * SOURCES: Intel SDM volume 1, 3.4.3 (EFLAGS) and volume 2, IRETQ (it faults in 64-bit mode while nested task is set). */
#ifndef SEGUE_CTX_FLAGS_H
#define SEGUE_CTX_FLAGS_H

/* Those that a program may be sent off with: carry, parity, adjust, zero, sign, trap, direction, overflow, resume, alignment,
 * identification. */
#define SETTABLE_FLAGS 0x250dd5u
/* Those that are always set: reserved bit 1, interrupts. */
#define FIXED_FLAGS 0x202u
/* After the next instruction there is a trap. */
#define FLAG_TRAP 0x100u
/* The next instruction is not stopped at by a breakpoint of the processor's; a fault sets it. */
#define FLAG_RESUME 0x10000u
/* Nested task: a program can set it, and then IRETQ must not be used. */
#define FLAG_NESTED_TASK 0x4000u

#endif
