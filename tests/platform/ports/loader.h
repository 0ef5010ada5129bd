/* loader.h: what the loaders of tests/platform/freebsd and tests/platform/darwin share: both systems number signals as
 * BSD does, and their setjmp keeps the mask. */
#ifndef SEGUE_TESTS_PORTS_LOADER_H
#define SEGUE_TESTS_PORTS_LOADER_H

#include <stdint.h>

/* Ends the loader with that message. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A whole file in memory. */
const uint8_t *read_file(const char *path);

/* What both systems call these. */
enum {
    BSD_ILL = 4,
    BSD_TRAP = 5,
    BSD_ABRT = 6,
    BSD_FPE = 8,
    BSD_KILL = 9,
    BSD_BUS = 10,
    BSD_SEGV = 11,
    BSD_SYS = 12,
    BSD_URG = 16,
    BSD_STOP = 17,
    BSD_CHLD = 20,
    BSD_USR1 = 30,
    BSD_USR2 = 31
};
/* Of sigaction, of sigprocmask and of sigaltstack. */
enum { BSD_ONSTACK = 1, BSD_RESETHAND = 4, BSD_NODEFER = 0x10, BSD_SIGINFO = 0x40 };
enum { BSD_BLOCK = 1, BSD_UNBLOCK = 2, BSD_SETMASK = 3 };
enum { BSD_SS_ONSTACK = 1, BSD_SS_DISABLE = 4 };

/* What Linux's status of a child says, in these numbers. */
int signal_status(int status);

/* Ends the process by a signal of that number. */
_Noreturn void signal_die_of(int number);

/* In assembly (jumps_CPU.S). A buffer has the registers that a function keeps, and behind them JUMP_REGISTERS words on
 * what setjmp_note adds: both systems' buffers have room for it. */
#if defined(__i386__)
#define JUMP_REGISTERS 6
#else
#define JUMP_REGISTERS 8
#endif
int loader_setjmp(void *buffer);
_Noreturn void loader_longjmp(void *buffer, int value);
void setjmp_note(void *buffer);
void longjmp_note(const void *buffer);

#endif
