/* loader.h: runs a program for FreeBSD on x86-64 or i386 on Linux: loader PROGRAM [ARGUMENT...]; loader --names prints
 * what it knows of FreeBSD's C library.
 *
 * It maps the program and the libraries that it names, relocates them, binds what they import to functions of its own
 * or of Linux's C library (imports.c), and calls main. A fault becomes a signal as FreeBSD delivers it: the frame is
 * written where the kernel's sendsig writes it, with its fields, in its order and with the extended state in its two
 * parts, and the thread goes on in a copy of the signal trampoline. That calls the C library's handler, as libthr has
 * it: entered with all signals blocked, it calls the program's with the kernel's frame, and returns to the kernel with
 * a copy of the context. What sigreturn refuses ends the process with a word why.
 *
 * What it can show: that the code which was built for FreeBSD is right: its calling convention, its assembly, its
 * thread-local storage, the layouts that native.h asserts; that the library serves faults in frames of that shape,
 * numbers of exceptions and codes of signals included, uses no more of a thread's alternate stack than there is, and
 * imports nothing that is not known here.
 *
 * What it cannot show: that FreeBSD does what this loader does, or that its headers are as freebsd.h has them. Both are
 * written from documentation and published sources. Not shown at all: the time that anything takes; selectors and error
 * numbers, which are Linux's (error numbers up to 34 are the same, except EAGAIN and EDEADLK); signals that the C
 * library defers; real-time signals' queues; and whatever a function here refuses.
 *
 * LOADER_TRANSLATION=1: the sysctl machdep.prot_fault_translation: a closed page is SIGBUS.
 *
 * SOURCES: FreeBSD sys/amd64/amd64/exec_machdep.c and sys/i386/i386/exec_machdep.c (sendsig, sigreturn), sigtramp.S and
 * sigcode.S, fpu.c, trap.c; sys/kern/kern_sig.c (sigaltstack, sigonstack), sys/vm/vm_fault.c (vm_fault_trap);
 * lib/libthr/thread/thr_sig.c; the manual pages of sections 2 and 3. */
#ifndef FREEBSD_LOADER_H
#define FREEBSD_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "tests/platform/ports/loader.h"

/* ---- image.c ---- */

typedef int program_main(int argc, char **argv, char **environment);

/* Maps the program and its libraries, binds them and runs their initialisers. */
program_main *image_load(const char *path, int argc, char **argv);

/* Fills in the calling thread's thread-local storage, of all images. */
void image_begin_thread(void);

/* ---- imports.c ---- */

/* The address for an imported name; NULL if it is not known. */
void *import_find(const char *name);

/* ---- threads.c ---- */

/* From a thread's number in Linux to the one that it has here: those of processes are below. */
#define FIRST_THREAD 100000

/* A mask's 128 signals. */
struct mask {
    uint64_t words[2];
};

/* What FreeBSD keeps of a thread. */
struct thread {
    int number;
    struct mask mask, pending;
    int codes[128];
    /* The alternate stack. */
    uintptr_t stack, stack_size;
    bool has_stack;
    void *(*run)(void *);
    void *argument, *result;
    unsigned long native;
    struct thread *next;
};

/* Thread-local storage of the images, below the thread pointer: the loader has no other variables there. */
#define ROOM 4032
struct locals {
    struct thread *self;
    char padding[64 - sizeof(void *)];
    char room[ROOM];
};
extern __thread struct locals locals;

void threads_begin(void);
struct thread *thread_by_number(int number);

/* ---- signals.c ---- */

void signals_begin(void);
/* For each thread: the stack of the loader's own handlers. */
void signals_begin_thread(void);
/* Sends a signal, by the number that it has in FreeBSD, to a thread. */
void signal_send(struct thread *thread, int number, int code);

/* In assembly: calls the handler, then loader_restore: an instruction that traps, for the frame to be restored. */
void loader_sigcode(void);
_Noreturn void loader_sigreturn(const void *context);
extern const char loader_restore[];

#endif
