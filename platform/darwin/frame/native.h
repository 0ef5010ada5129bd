/* native.h: the two words of a frame (struct native_frame): a signal or an exception in the terms of
 * platform/frame/frame.h. Both are on the stack of the function that the system has called; it has the modules above
 * serve them, and then closes them.
 *
 * SOURCES: Apple's headers sys/_types/_ucontext.h, i386/_mcontext.h, mach/i386/_structs.h; XNU
 * bsd/dev/i386/unix_signal.c (sendsig: what a frame holds). */
#ifndef SEGUE_PLATFORM_DARWIN_NATIVE_H
#define SEGUE_PLATFORM_DARWIN_NATIVE_H

#if !defined(__APPLE__) || !defined(__x86_64__)
#error "native.h is specific to macOS on x86-64"
#endif

#include <mach/mach.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ucontext.h>

#include "platform/frame/gathered.h"
#include "platform/frame/stack.h"

/* The first word: what happened. */
struct native_info {
    /* The signal; it must be first (thread_is_overwritten). */
    int number;
    int code;
    uint64_t address;
    /* A program sent it: the frame does not show a fault. */
    bool is_sent;
    /* The library leaves it to the handler that was there before. */
    bool is_passed_on;
};

/* The second word: the thread. The system keeps its state in parts. */
struct native_context {
    /* Where this is, and the fault that this one interrupted, as far as that is known; NULL for the outermost. */
    struct native_context *self, *outer;
    x86_thread_state64_t *general;
    x86_exception_state64_t *exception;
    /* A float, AVX or AVX-512 state, which begin alike, and its size. */
    unsigned char *vectors;
    size_t vectors_size;
    /* The signals that are blocked when the handler has returned. */
    uint32_t *mask;
    /* The thread's alternate stack, and whether the interrupted code was on it. The frame has no copy of it: its fields
     * of that name describe the frame itself. */
    struct alternate_stack stack;
    bool was_on_stack;
    /* The system keeps it in several parts. */
    struct gathered state;
};

/* Fills in both words of a signal's frame. `room` is for the extended state; NULL if it comes later. */
void native_open(struct native_info *info, struct native_context *context, const siginfo_t *told, ucontext_t *system,
                 struct gathered_room *room);

/* Writes the area back to where the system keeps it, if it was gathered. */
void native_close(struct native_context *context);

/* ---- states of threads, as Mach gives them ---- */

/* The largest of them is the AVX-512 state. */
#define NATIVE_VECTORS_MOST sizeof(x86_avx512_state64_t)

struct native_state {
    x86_thread_state64_t general;
    x86_exception_state64_t exception;
    uint32_t vectors_size;
    _Alignas(16) unsigned char vectors[NATIVE_VECTORS_MOST];
};

/* Reads the state of a thread that does not run. False if there is no such thread. Async-signal-safe. */
bool native_state_get(struct native_state *state, thread_act_t thread);

/* Sets the vector state of a thread that does not run. The same. */
bool native_vectors_set(const struct native_state *state, thread_act_t thread);

/* A frame of that state, of a thread that is in no handler. */
void native_begin(struct native_context *context, struct native_state *state, uint32_t *mask,
                  struct gathered_room *room);

#endif
