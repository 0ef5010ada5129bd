/* loader.h: runs a program for macOS on x86-64 on Linux: loader PROGRAM [ARGUMENT...].
 *
 * It maps the program and the libraries beside it that it names, binds what they import to functions of its own or of
 * Linux's C library (imports.c), and calls main. A fault becomes a signal as macOS delivers it: the frame is written
 * where XNU's sendsig writes it, with its fields and its order, and the thread goes on in a trampoline that calls the
 * handler and then restores all registers and the extended state from the frame (signals.c). Before that the exception
 * is sent to the port that the program has set for the thread, then to the task's, as the message of the behavior that
 * was asked for; the thread waits for the answer, which may set its registers (ports.c). Threads are suspended, and
 * their states are read and written (threads.c). A system call that the program makes itself is trapped (signals.c):
 * the base of GS is set by one. While another base than the thread's own is in force, that of FS is 0, as always in
 * macOS; otherwise Linux's C library needs its own.
 *
 * What it can show: that the code which was built for macOS is right: its calling convention, its assembly, its
 * thread-local storage, the layouts of Apple's headers; that the library serves faults in frames of that shape, uses no
 * more of a thread's alternate stack than there is, and makes no thread-local storage in a handler (it ends the process
 * then); that it imports nothing that is not known here; that its messages have the layout and the numbers of mach_exc.
 *
 * What it cannot show: that macOS does what this loader does. The loader is written from documentation, headers and
 * published sources. Above all not which of port and signal comes first, what a suspended thread in the kernel shows,
 * whether a state may be set where it is set, and that the C library's trampoline does not touch GS. Not shown at all:
 * the time that anything takes, code signing, the hardened runtime, fork's inheritance of memory, how long a port's
 * rights last (rights are not counted), a debugger's port, the host's, and whatever a function here refuses.
 *
 * SOURCES: XNU bsd/dev/i386/unix_signal.c, bsd/uxkern/ux_exception.c, osfmk/kern/exception.c, osfmk/mach/mach_exc.defs,
 * EXTERNAL_HEADERS/mach-o/loader.h and nlist.h; dyld's documentation of LC_DYLD_INFO; Apple's headers signal.h,
 * sys/mman.h, mach/vm_statistics.h, pthread.h. */
#ifndef DARWIN_LOADER_H
#define DARWIN_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "tests/platform/ports/loader.h"

/* ---- image.c ---- */

typedef int program_main(int argc, char **argv, char **environment, char **apple);

/* Maps the program and its libraries, binds them and runs their initialisers. */
program_main *image_load(const char *path, int argc, char **argv);

/* A thread's copy of an image's thread-local storage; NULL if there is no such image. */
void *image_thread_storage(uint64_t image);

/* Whether the address is in a segment that may never be written. */
bool image_is_constant(uint64_t address);

/* ---- imports.c ---- */

/* The address for an imported name, without its underscore; NULL if it is not known. */
void *import_find(const char *name);

/* ---- threads.c ---- */

#define KEYS 512
#define FIRST_KEY 256
/* From a thread's block to its keys, as in macOS 11. */
#define BLOCK_HEAD 28

/* Mach's types of exceptions are below this. */
#define EXCEPTIONS 14
#define TASK 0x203u

/* A thread. GS's base is at `keys`, unless it has set another, and the first of them is the block's own address. */
struct thread {
    uint64_t head[BLOCK_HEAD];
    void *keys[KEYS];
    /* The base of GS that it has set last. */
    uint64_t base;
    /* Its port's name, and its number in Linux. */
    uint32_t port;
    int number;
    bool has_begun;
    /* What macOS keeps of it: the blocked and the pending signals; the alternate stack, and whether it is in use. */
    uint32_t mask, pending;
    uint64_t stack, stack_size;
    bool has_stack, on_stack;
    /* Handlers that have not returned. */
    unsigned handlers;
    /* Mach's suspension: how often it was suspended; whether it stands still for that, or since it waits for the answer
     * to an exception; and its registers then. */
    uint32_t suspensions, stopped, in_exception;
    ucontext_t *registers;
    /* Its own ports for exceptions, by their types; and the port for answers. */
    struct exception_port {
        uint32_t port, behavior;
        int flavor;
    } exceptions[EXCEPTIONS];
    uint32_t answers;
    void *(*run)(void *);
    void *argument, *result;
    unsigned long native;
    struct thread *next;
};

void threads_begin(void);
struct thread *thread_self(void);
struct thread *thread_by_port(uint32_t port);

/* ---- signals.c ---- */

#define DARWIN_SIGNALS 32
void signals_begin(void);
/* For each thread: the stack of the loader's own handlers. */
void signals_begin_thread(void);
/* Sends a signal, by the number that it has in macOS, to a thread. */
void signal_send(struct thread *thread, int number);
/* Delivers what is pending and no longer blocked. */
void signal_settle(struct thread *self);
/* A thread that has ended is not held. */
bool thread_hold(struct thread *thread);
void thread_release(struct thread *thread);

/* A thread's states, by Mach's flavors, in and out of Linux's frame of it. The size in bytes; 0 if a thread has no such
 * state. */
size_t state_size(int flavor);
void state_get(const ucontext_t *native, int flavor, void *state);
void state_set(ucontext_t *native, int flavor, const void *state);

/* In a handler of Linux's: waits while the thread is suspended. */
void thread_stand_still(struct thread *self, ucontext_t *native);

/* ---- ports.c ---- */

/* Mach's types and codes. */
enum {
    BAD_ACCESS = 1,
    BAD_INSTRUCTION = 2,
    ARITHMETIC = 3,
    BREAKPOINT = 6,
};
struct exception {
    int type;
    int64_t codes[2];
};
/* Asks the ports of the thread and of the task. Whether one has answered: then `native` is as the answer wants it. */
bool exception_raise(struct thread *self, ucontext_t *native, const struct exception *exception);
void ports_in_child(void);

/* In assembly: the handler of all of Linux's signals. The base of FS is Linux's C library's, but 0, as in macOS, while
 * that of GS is not the thread's own: then the thread runs code that calls nothing of the loader's. The stack of these
 * handlers begins at a multiple of its size with that base. Calls signals_handle. */
void loader_on_signal(int number);
#define HANDLER_STACK 65536

/* In assembly: calls the handler, then loader_restore: an instruction that traps, for the frame to be restored. */
void loader_trampoline(void);
extern const char loader_restore[];
/* What a thread-local variable's descriptor calls. */
void loader_variable(void);

#endif
