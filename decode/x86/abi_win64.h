/* abi_win64.h: what the calling convention of Windows says about the stack, for C and for assembly.
 *
 * SOURCES: Microsoft, "x64 stack usage": what is below the stack pointer is volatile. */
#ifndef SEGUE_X86_ABI_WIN64_H
#define SEGUE_X86_ABI_WIN64_H

#include "constant.h"

/* Bytes below the stack pointer that belong to the function that runs. */
#define RED_ZONE X86_CONSTANT(0)

#endif
