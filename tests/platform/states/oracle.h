/* oracle.h: a thread's state, for oracle_x86_64.S, oracle_i386.S and states.c. */
#ifndef SEGUE_TESTS_STATES_ORACLE_H
#define SEGUE_TESTS_STATES_ORACLE_H

#if defined(__i386__)
#define ORACLE_WORD 4
#else
#define ORACLE_WORD 8
#endif

/* In struct oracle_context; states.c asserts each. */
#define ORACLE_BEFORE 0
#define ORACLE_AFTER 176
#define ORACLE_HOST_STACK 352
#define ORACLE_CODE (ORACLE_HOST_STACK + ORACLE_WORD)
#define ORACLE_IMAGE_BEFORE (ORACLE_HOST_STACK + 2 * ORACLE_WORD)
#define ORACLE_IMAGE_AFTER (ORACLE_HOST_STACK + 3 * ORACLE_WORD)
#define ORACLE_IMAGE_HOST (ORACLE_HOST_STACK + 4 * ORACLE_WORD)
/* A multiple of 8, as some systems for i386 align words of 64 bits. */
#define ORACLE_FEATURES (ORACLE_HOST_STACK + 6 * ORACLE_WORD)
/* In struct segue_regs. */
#define ORACLE_RDI 40
#define ORACLE_RSP 56
#define ORACLE_RFLAGS 136

#endif
