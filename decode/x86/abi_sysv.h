/* abi_sysv.h: what the System V ABI says about the stack, for C and for assembly.
 *
 * SOURCES: System V Application Binary Interface, AMD64 Architecture Processor Supplement, 3.2.2. */
#ifndef SEGUE_X86_ABI_SYSV_H
#define SEGUE_X86_ABI_SYSV_H

#include "constant.h"

/* Bytes below the stack pointer that belong to the function that runs. */
#if defined(__i386__)
#define RED_ZONE X86_CONSTANT(0)
#else
#define RED_ZONE X86_CONSTANT(128)
#endif

#endif
