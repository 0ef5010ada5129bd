/* sigsegv_compat.h: the interface of GNU libsigsegv, for programs that are written for it: compile
 * them with `-include segue/sigsegv_compat.h`, and link libsegue in place of libsigsegv. Their
 * `#include <sigsegv.h>` then does nothing. Linux.
 *
 * What differs: a fault that no handler takes goes to the handler that was there before, as
 * segue_chain does it; libsigsegv restores the default action. The program may use all of segue.h
 * as well; faults in regions are served if segue_install came before the handlers here.
 *
 * SOURCES: GNU libsigsegv 2.14, sigsegv.h and README. */
#ifndef SEGUE_SIGSEGV_COMPAT_H
#define SEGUE_SIGSEGV_COMPAT_H

#if !defined(__linux__)
#error "segue/sigsegv_compat.h: only on Linux"
#endif
#if defined(_SIGSEGV_H)
#error "segue/sigsegv_compat.h: include it before <sigsegv.h>"
#endif
#define _SIGSEGV_H

#include <stddef.h>
#include <ucontext.h>

#include <segue/status.h>

SEGUE_BEGIN

#define LIBSIGSEGV_VERSION 0x020E
#define HAVE_SIGSEGV_RECOVERY 1
#define HAVE_STACK_OVERFLOW_RECOVERY 1
#define SIGSEGV_FAULT_ADDRESS_ALIGNMENT 1UL

/* A handler of page faults. It is called with `serious` 0 first; then, if the fault is not that of
 * an exhausted stack, with 1. Returns nonzero if it has served the fault. */
typedef int (*sigsegv_handler_t)(void *fault_address, int serious);

/* Installs the handler, and removes it. The first returns 0, or -1 if the system refuses. MT-Safe,
 * AS-Unsafe. */
SEGUE_API int segue_sigsegv_install(sigsegv_handler_t handler);
SEGUE_API void segue_sigsegv_deinstall(void);

/* In a handler: calls `continuation`, which leaves by longjmp and restores the signal mask. Returns
 * nonzero, for the handler to return. MT-Safe, AS-Safe. */
SEGUE_API int segue_sigsegv_leave(void (*continuation)(void *, void *, void *), void *first,
                                  void *second, void *third);

typedef ucontext_t *stackoverflow_context_t;

/* A handler of exhausted stacks; it must not return. */
typedef void (*stackoverflow_handler_t)(int emergency, stackoverflow_context_t context);

/* Installs the handler, which the calling thread runs on the `size` bytes at `extra_stack`; and
 * removes it. The first returns 0, or -1 if the system refuses. MT-Safe, AS-Unsafe. */
SEGUE_API int segue_stackoverflow_install(stackoverflow_handler_t handler, void *extra_stack,
                                          unsigned long size);
SEGUE_API void segue_stackoverflow_deinstall(void);

/* Ranges of addresses, each with a handler. */
typedef struct sigsegv_dispatcher {
    void *tree;
} sigsegv_dispatcher;

/* As sigsegv_handler_t, for a range. */
typedef int (*sigsegv_area_handler_t)(void *fault_address, void *user_arg);

/* segue_sigsegv_register returns a ticket for segue_sigsegv_unregister, or NULL without memory.
 * segue_sigsegv_dispatch returns what the handler of the range returns, and 0 if no range contains
 * the address. The dispatcher must not change while a fault is dispatched. Only
 * segue_sigsegv_dispatch is AS-Safe. */
SEGUE_API void segue_sigsegv_init(sigsegv_dispatcher *dispatcher);
SEGUE_API void *segue_sigsegv_register(sigsegv_dispatcher *dispatcher, void *address, size_t size,
                                       sigsegv_area_handler_t handler, void *user_arg);
SEGUE_API void segue_sigsegv_unregister(sigsegv_dispatcher *dispatcher, void *ticket);
SEGUE_API int segue_sigsegv_dispatch(sigsegv_dispatcher *dispatcher, void *fault_address);

#define libsigsegv_version LIBSIGSEGV_VERSION
#define sigsegv_install_handler segue_sigsegv_install
#define sigsegv_deinstall_handler segue_sigsegv_deinstall
#define sigsegv_leave_handler segue_sigsegv_leave
#define stackoverflow_install_handler segue_stackoverflow_install
#define stackoverflow_deinstall_handler segue_stackoverflow_deinstall
#define sigsegv_init segue_sigsegv_init
#define sigsegv_register segue_sigsegv_register
#define sigsegv_unregister segue_sigsegv_unregister
#define sigsegv_dispatch segue_sigsegv_dispatch

SEGUE_END

#endif
