/* constant.h: a constant for C and for assembly: unsigned and 64 bits wide in C; an assembler takes no suffix. */
#ifndef SEGUE_X86_CONSTANT_H
#define SEGUE_X86_CONSTANT_H

#ifdef __ASSEMBLER__
#define X86_CONSTANT(value) value
#else
#include <stdint.h>
#define X86_CONSTANT(value) UINT64_C(value)
#endif

#endif
