/* native.h: a frame (struct native_frame): the report of the dispatcher of exceptions, in the terms of
 * platform/frame/frame.h. It is on the stack of the function that the dispatcher has called. */
#ifndef SEGUE_PLATFORM_WINDOWS_NATIVE_H
#define SEGUE_PLATFORM_WINDOWS_NATIVE_H

#if !defined(_WIN32)
#error "native.h is specific to Windows"
#endif

#include <stdbool.h>
#include <stdint.h>
#include <windows.h>

#include "platform/frame/gathered.h"

/* The names of CONTEXT's fields; and what the headers of mingw-w64 10 lack. */
#if defined(__x86_64__)
#define INSTRUCTION_POINTER Rip
#define STACK_POINTER Rsp
#define CONTEXT_PROCESSOR CONTEXT_AMD64
#else
#define INSTRUCTION_POINTER Eip
#define STACK_POINTER Esp
#define CONTEXT_PROCESSOR CONTEXT_i386
#endif
#ifndef CONTEXT_XSTATE
#define CONTEXT_XSTATE (CONTEXT_PROCESSOR | 0x40)
#endif

/* An exception: both words of its frame lead to it. It fits into what a struct segue_frame has for a platform. */
struct native {
    /* The signal that it would be (platform/handlers/numbers.h); it must be first (thread_is_overwritten). */
    int number;
    /* Of an access violation what was tried: 0 a read, 1 a write, 8 a fetch. What the processor reported, as far as the
     * system says. */
    uint8_t kind, trap;
    /* The library leaves the exception to the handlers behind its own. */
    bool is_passed_on;
    uint64_t address;
    EXCEPTION_RECORD *record;
    CONTEXT *thread;
    /* Where the exception interrupted it: what lies below is the system's, which has put the thread's state there. */
    uint64_t stack_pointer;
    /* The system keeps it in several parts. */
    struct gathered state;
};

/* One that the library's own handler serves. */
struct native_handler {
    /* Where this is, and the fault that this one interrupted; NULL for the outermost. */
    struct native_handler *self, *outer;
    struct native native;
    struct gathered_room room;
};

/* What other threads read of a thread (platform/windows/threads/stop.c). */
struct native_thread {
    struct native_handler *innermost;
    /* The stack pointer with which the thread leaves a handler by a copy; 0 if it does not. */
    uint64_t leaves_at;
};
extern __thread struct native_thread native_thread;

/* From the handler's first act to its last: the thread is in it. */
void native_enter(struct native_handler *handler);
void native_leave(const struct native_handler *handler);

/* The outermost handler that a stopped thread with that stack pointer is in, as a frame's second word; NULL if it is in
 * none. Whether it is on its way by a copy. */
void *native_outermost(const struct native_thread *thread, uint64_t stack_pointer);
bool native_leaves(const struct native_thread *thread, uint64_t stack_pointer);

/* A frame of a thread that is in no handler. `room` is for the extended state; NULL if it comes later. */
void native_begin(struct native *native, CONTEXT *thread, struct gathered_room *room);

/* Fills it in. False if the library does not handle such an exception. */
bool native_open(struct native *native, struct gathered_room *room, const EXCEPTION_POINTERS *exception);

/* Where CONTEXT has the legacy state, as FXSAVE stores it. After a change: brings the other places where CONTEXT has a
 * part of it up to date. */
void *native_legacy(CONTEXT *thread);
void native_legacy_changed(CONTEXT *thread);

/* Has the thread continue in a function that continues by the copy: below its stack pointer, which becomes one as at a
 * function's beginning, that function may push. Writes nothing to the stack. */
void native_continue_by(CONTEXT *thread, const CONTEXT *copy);

/* Writes the area back where the system keeps it, if it was gathered. `goes_on`: the thread resumes when the handler
 * returns. */
void native_close(struct native *native, bool goes_on);

#endif
