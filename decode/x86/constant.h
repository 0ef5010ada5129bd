/* constant.h: a number for C and for assembly: C computes with it in 64 bits without a sign, an assembler takes no suffix. */
#ifndef SEGUE_X86_CONSTANT_H
#define SEGUE_X86_CONSTANT_H

#ifdef __ASSEMBLER__
#define X86_CONSTANT(value) value
#else
#include <stdint.h>
#define X86_CONSTANT(value) UINT64_C(value)
#endif

#endif
