/* newer.h: numbers of system calls that are newer than the headers of some systems. */
#ifndef SEGUE_LINUX_CALLS_NEWER_H
#define SEGUE_LINUX_CALLS_NEWER_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "newer.h is specific to Linux on x86-64"
#endif

#include <sys/syscall.h>

#ifndef SYS_io_pgetevents
#define SYS_io_pgetevents 333
#endif
#ifndef SYS_io_uring_enter
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#endif
