/* flags.h: a program's RFLAGS bits, for C and for assembly.
 *
 * SOURCES: Intel SDM volume 1, 3.4.3 (EFLAGS). */
#ifndef SEGUE_X86_FLAGS_H
#define SEGUE_X86_FLAGS_H

#include "constant.h"

#define FLAG_CARRY X86_CONSTANT(0x1)
/* Reserved, and always set. */
#define FLAG_ALWAYS_SET X86_CONSTANT(0x2)
#define FLAG_PARITY X86_CONSTANT(0x4)
#define FLAG_ADJUST X86_CONSTANT(0x10)
#define FLAG_ZERO X86_CONSTANT(0x40)
#define FLAG_SIGN X86_CONSTANT(0x80)
/* A trap follows the next instruction. */
#define FLAG_TRAP X86_CONSTANT(0x100)
#define FLAG_INTERRUPT X86_CONSTANT(0x200)
/* String instructions go towards lower addresses. */
#define FLAG_DIRECTION X86_CONSTANT(0x400)
#define FLAG_OVERFLOW X86_CONSTANT(0x800)
/* A program can set it; IRETQ in 64-bit mode then faults, so the library must not use it (volume 2, IRETQ). */
#define FLAG_NESTED_TASK X86_CONSTANT(0x4000)
/* The next instruction ignores instruction breakpoints of the debug registers; a fault sets it in the flags that it
 * saves. */
#define FLAG_RESUME X86_CONSTANT(0x10000)
#define FLAG_VIRTUAL_8086 X86_CONSTANT(0x20000)
/* Misaligned accesses fault. */
#define FLAG_ALIGNMENT X86_CONSTANT(0x40000)
#define FLAG_IDENTIFICATION X86_CONSTANT(0x200000)

#define FLAGS_ARITHMETIC (FLAG_CARRY | FLAG_PARITY | FLAG_ADJUST | FLAG_ZERO | FLAG_SIGN | FLAG_OVERFLOW)

/* Flags that the library may load for a program. */
#define SETTABLE_FLAGS                                                                                                 \
    (FLAGS_ARITHMETIC | FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME | FLAG_ALIGNMENT | FLAG_IDENTIFICATION)
/* Flags that are always set in a program. */
#define FIXED_FLAGS (FLAG_ALWAYS_SET | FLAG_INTERRUPT)

#endif
