/* native.h: the two words of a frame (struct native_frame): a signal in the terms of platform/frame/frame.h. Both are
 * on the stack of the function that the system has called; it has the modules above serve them, and then closes them.
 *
 * SOURCES: FreeBSD sys/sys/_ucontext.h, sys/x86/include/ucontext.h, sys/sys/signal.h; sys/amd64/amd64/exec_machdep.c
 * and sys/i386/i386/exec_machdep.c (sendsig: what a frame holds; the sizes are asserted there, too). */
#ifndef SEGUE_PLATFORM_FREEBSD_NATIVE_H
#define SEGUE_PLATFORM_FREEBSD_NATIVE_H

#if !defined(__FreeBSD__)
#error "native.h is specific to FreeBSD"
#endif

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "platform/frame/gathered.h"
#include "platform/frame/stack.h"

/* The first word: what happened. */
struct native_info {
    /* The signal; it must be first (thread_is_overwritten). */
    int number;
    int code;
    uint64_t address;
    /* The processor's exception, by the system's number. */
    int trap;
    /* A program sent it: the frame does not show a fault. */
    bool is_sent;
    /* The library leaves it to the handler that was there before. */
    bool is_passed_on;
};

/* The second word: the thread. */
struct native_context {
    /* Where this is, and the fault that this one interrupted, as far as that is known; NULL for the outermost. */
    struct native_context *self, *outer;
    ucontext_t *system;
    /* The address of a page fault, which the frame has on x86-64 alone. */
    uint64_t address;
    /* The thread's alternate stack, and whether the interrupted code was on it. */
    struct alternate_stack stack;
    bool was_on_stack;
    /* The system keeps it in two parts. */
    struct gathered state;
};

/* Fills in both. `room` is for the extended state; NULL if it comes later. */
void native_open(struct native_info *info, struct native_context *context, const siginfo_t *told, ucontext_t *system,
                 struct gathered_room *room);

/* The second word of a thread in no handler of the library's. */
void native_begin(struct native_context *context, ucontext_t *system, struct gathered_room *room);

/* Writes the area back to where the system keeps it, if it was gathered. */
void native_close(struct native_context *context);

/* The exception's vector for the system's number of it, and the reverse; 0 for an unknown one. */
uint64_t native_vector(unsigned trap);
unsigned native_trap(uint64_t vector);

/* The layouts that the system's kernel has, too. */
#if defined(__i386__)
_Static_assert(sizeof(mcontext_t) == 640 && sizeof(ucontext_t) == 704 && sizeof(siginfo_t) == 64, "the sizes");
_Static_assert(offsetof(mcontext_t, mc_trapno) == 52 && offsetof(mcontext_t, mc_esp) == 72 &&
                   offsetof(mcontext_t, mc_flags) == 92 && offsetof(mcontext_t, mc_fpstate) == 96 &&
                   offsetof(mcontext_t, mc_fsbase) == 608 && offsetof(mcontext_t, mc_xfpustate) == 616,
               "the fields of mcontext_t");
_Static_assert(offsetof(ucontext_t, uc_mcontext) == 16 && offsetof(ucontext_t, uc_stack) == 660, "ucontext_t");
#else
_Static_assert(sizeof(mcontext_t) == 800 && sizeof(ucontext_t) == 880 && sizeof(siginfo_t) == 80, "the sizes");
_Static_assert(offsetof(mcontext_t, mc_trapno) == 128 && offsetof(mcontext_t, mc_addr) == 136 &&
                   offsetof(mcontext_t, mc_flags) == 144 && offsetof(mcontext_t, mc_rip) == 160 &&
                   offsetof(mcontext_t, mc_fpstate) == 224 && offsetof(mcontext_t, mc_fsbase) == 736 &&
                   offsetof(mcontext_t, mc_xfpustate) == 752,
               "the fields of mcontext_t");
_Static_assert(offsetof(ucontext_t, uc_mcontext) == 16 && offsetof(ucontext_t, uc_stack) == 824, "ucontext_t");
#endif
_Static_assert(offsetof(siginfo_t, si_code) == 8 && offsetof(siginfo_t, si_addr) == 24, "siginfo_t");
_Static_assert(sizeof(sigset_t) == 16 && offsetof(ucontext_t, uc_sigmask) == 0, "sigset_t");

#endif
