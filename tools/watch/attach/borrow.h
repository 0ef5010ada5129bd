/* borrow.h: makes a thread of another process call functions, by ptrace, and leaves it as it was. One thread is
 * stopped, for the time of the calls; all other ones run.
 *
 * The functions load a library and make a thread: they take locks of the loader and of the allocator. So a thread is
 * borrowed only where it holds none of these: while it waits in a system call that the program has called by its
 * name, or while it is in code of the program's own.
 *
 * If this command is killed meanwhile, the thread goes home by itself when the function returns (frame.h). */
#ifndef SEGUE_TOOLS_WATCH_BORROW_H
#define SEGUE_TOOLS_WATCH_BORROW_H

#include <sys/user.h>

#include "frame.h"
#include "tools/watch/names/code.h"

/* At most, of the kernel's XSAVE area: AMX has 8 KiB. */
#define BORROW_STATE 16384

struct borrowed {
    pid_t process, thread;
    struct user_regs_struct regs;
    uint64_t mask;
    /* Syscall user dispatch: mode, selector, range. */
    uint64_t dispatch[4];
    struct frame frame;
    size_t state_size;
    _Alignas(64) unsigned char state[BORROW_STATE];
};

/* Stops a thread that can be borrowed. False, with a message, if no thread can. */
bool borrow_begin(struct borrowed *borrowed, struct code *code);

/* The function's result. `text`, if it is not NULL, is the first argument; else that is `first`. False, with a message,
 * if the process has ended. */
bool borrow_call(struct borrowed *borrowed, uint64_t function, const char *text, uint64_t first, uint64_t second,
                 uint64_t *result);

/* Lists the process's threads: returns how many, at most THREADS_MOST. */
#define THREADS_MOST 4096u
unsigned borrow_list(pid_t process, pid_t *threads);

/* Whether the thread is in a call with a mask of its own (ppoll, sigsuspend) that has some of these signals, and the
 * thread's has not. */
bool borrow_waits_with_mask(const struct code *code, pid_t thread, uint64_t signals);

/* Takes signals out of a thread's mask; it goes on where it was. `note` gets the mask that it has, before: if the
 * command is killed, it is known. False if `note` returns false, and if the thread has ended, blocks none of them, is
 * in a signal's handler, or in a function of the C library other than those in which threads wait. */
typedef bool borrow_note(void *context, uint64_t mask);
bool borrow_open_mask(const struct code *code, pid_t thread, uint64_t open, borrow_note *note, void *context);

/* Reads and writes the process's memory. */
bool borrow_read(const struct borrowed *borrowed, uint64_t address, void *to, size_t size);
bool borrow_write(const struct borrowed *borrowed, uint64_t address, const void *from, size_t size);

/* The thread goes on where it was. */
void borrow_end(struct borrowed *borrowed);

#endif
