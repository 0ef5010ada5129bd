/* syscall.h: the instruction that makes a system call.
 *
 * SOURCES: Intel SDM volume 2, SYSCALL (it keeps neither RCX, the address behind it, nor R11, the flags). */
#ifndef SEGUE_X86_SYSCALL_H
#define SEGUE_X86_SYSCALL_H

#define SYSCALL_SIZE 2
/* For an array of SYSCALL_SIZE bytes. */
#define SYSCALL_BYTES 0x0f, 0x05

#endif
