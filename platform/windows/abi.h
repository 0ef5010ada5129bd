/* abi.h: what the calling convention of Windows says about the stack, for C and for assembly.
 *
 * SOURCES: Microsoft, "x64 stack usage": what is below the stack pointer is volatile. */
#ifndef SEGUE_PLATFORM_WINDOWS_ABI_H
#define SEGUE_PLATFORM_WINDOWS_ABI_H

#if !defined(_WIN32)
#error "platform/windows/abi.h is specific to Windows"
#endif

#include "decode/x86/constant.h"

/* Bytes below the stack pointer that belong to the function that runs. */
#define RED_ZONE X86_CONSTANT(0)

#endif
