/* abi.h: what the functions of this system expect of each other, for C and for assembly; and how C calls the library's
 * assembly, which takes its arguments as the System V ABI says on every system.
 *
 * SOURCES: Microsoft, "x64 calling convention" (no red zone; XMM6 to XMM15, RDI and RSI are callee-saved: a call of a
 * function with sysv_abi saves them). */
#ifndef SEGUE_PLATFORM_ABI_H
#define SEGUE_PLATFORM_ABI_H

#if defined(_WIN32)
#include "platform/windows/abi.h"
#else
#include "decode/x86/abi_sysv.h"
#endif

/* Marks a function of assembly. */
#if defined(_WIN64)
#define ASSEMBLED __attribute__((sysv_abi))
#else
#define ASSEMBLED
#endif

#endif
