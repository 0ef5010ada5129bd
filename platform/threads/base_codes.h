/* base_codes.h: for assembly: the system call that reads and sets the FS and GS bases, where the instructions may not.
 * platform/linux/threads/base_x86_64.c compares the numbers with the kernel's headers. */
#ifndef SEGUE_PLATFORM_BASE_CODES_H
#define SEGUE_PLATFORM_BASE_CODES_H

#if defined(__linux__)
/* arch_prctl(code, address). */
#define BASE_CALL 158
#define BASE_SET_GS 0x1001
#define BASE_SET_FS 0x1002
#define BASE_GET_FS 0x1003
#define BASE_GET_GS 0x1004
#else
#error "base_codes.h does not know this system's call"
#endif

#endif
