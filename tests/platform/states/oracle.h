/* oracle.h: a thread's state, for oracle_x86_64.S and for states.c. */
#ifndef SEGUE_TESTS_STATES_ORACLE_H
#define SEGUE_TESTS_STATES_ORACLE_H

/* In struct oracle_context; states.c asserts each. */
#define ORACLE_BEFORE 0
#define ORACLE_AFTER 176
#define ORACLE_HOST_STACK 352
#define ORACLE_CODE 360
#define ORACLE_IMAGE_BEFORE 368
#define ORACLE_IMAGE_AFTER 376
#define ORACLE_IMAGE_HOST 384
#define ORACLE_FEATURES 392
/* In struct segue_regs. */
#define ORACLE_RDI 40
#define ORACLE_RSP 56
#define ORACLE_RFLAGS 136

#endif
