/* registers.h: registers of 32-bit and 64-bit code by one name. On Linux, included behind <signal.h>, also those of a
 * signal's frame. */
#ifndef SEGUE_TESTS_REGISTERS_H
#define SEGUE_TESTS_REGISTERS_H

/* The segment register that the C library leaves alone. */
#if defined(__i386__)
#define SPARE_SEGMENT "fs"
#else
#define SPARE_SEGMENT "gs"
#endif

#if defined(__i386__)
#define REG_RAX REG_EAX
#define REG_RCX REG_ECX
#define REG_RDX REG_EDX
#define REG_RBX REG_EBX
#define REG_RSP REG_ESP
#define REG_RBP REG_EBP
#define REG_RSI REG_ESI
#define REG_RDI REG_EDI
#define REG_RIP REG_EIP
#endif

#endif
