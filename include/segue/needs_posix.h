/* needs_posix.h: for the headers that need POSIX's signal.h: one error that says what to do where the compiler hides
 * it, in place of many. */
#ifndef SEGUE_NEEDS_POSIX_H
#define SEGUE_NEEDS_POSIX_H

#include <signal.h>

#if !defined(_POSIX_C_SOURCE) || _POSIX_C_SOURCE < 199309L
#error                                                                                                                 \
    "segue needs POSIX (siginfo_t, sigset_t): compile with -std=gnu11 or later, or define _GNU_SOURCE, or _POSIX_C_SOURCE as 200809L, before the first #include"
/* What cannot be declared is left out. */
#define SEGUE_WITHOUT_POSIX_ 1
#endif

#endif
