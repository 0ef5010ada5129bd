/* syscalls.h: system calls that are given pointers into regions (SEGUE_INSTALL_SYSTEM_CALLS). Before such a call the
 * policies of the regions are asked. Then the call is made with pointers to the windows' memory; and where a window has
 * none that the kernel can use, or the memory lies only partly in it, with a copy of the bytes (a bounce buffer). No
 * call is tried and repeated: what it consumes, it consumes once.
 *
 * platform/calls/calls.h catches the calls, and knows what their pointers lead to. */
#ifndef SEGUE_SIGNALS_SYSCALLS_H
#define SEGUE_SIGNALS_SYSCALLS_H

#include <segue/status.h>

#include "platform/calls/calls.h"

struct work;

/* Why it is not possible; NULL if it is. Not async-signal-safe. */
const char *syscalls_obstacle(void);

/* Before the handler is installed. Not async-signal-safe. */
void syscalls_prepare(void);

/* From now on the calls of all threads of the process are caught; those of other threads as soon as they take a signal.
 * `by_sites`: those of call sites that are replaced (sites/sites.h), and so the first time. Returns why it
 * cannot be done; NULL: it is. Not async-signal-safe. */
const char *syscalls_begin(bool by_sites);

/* Before syscalls_prepare: the program is also to block none of these signals, and to take none from the library, as
 * SIGSYS always. `has_detours`: false for a process that runs already, whose code is to be as it was afterwards. Not
 * async-signal-safe. */
void syscalls_keep(uint64_t signals, bool has_detours);

/* They are caught no longer, until syscalls_begin; no region may exist. Each thread takes one trap more. SIGSYS stays
 * the library's, and detours stay. Not async-signal-safe. */
void syscalls_end(void);

/* Whether syscalls_begin was called. */
bool syscalls_are_caught(void);

/* ---- for the dispatcher; async-signal-safe ---- */

/* Serves what needs no fault in progress; false: the call is given a pointer into a region, and is to be served by
 * syscalls_serve. `room` is what the handler's stack has left. */
bool syscalls_take(struct system_call *call, size_t room);

/* Asks, and arranges the call. The caller has opened the frame, and is a reader; and ends the rights to protection keys
 * that this takes (keyed_end). */
void syscalls_serve(struct work *work, const struct system_call *call);

/* In place of syscalls_serve, where there is no room for it: the call fails, or is made as the program asked. */
void syscalls_refuse(const struct system_call *call);

/* Does what is left to do after a call. */
void syscalls_finish(struct native_frame native);

/* Whether the signal is a filter's answer to the library itself, or in place of a call of the program's at a gate: the
 * program's call is not made. */
bool syscalls_take_answer(struct native_frame native);

/* Answers a knock: the call that the thread is in begins again, its calls are caught from now on, or its mask is
 * closed. */
void syscalls_answer(struct native_frame native);

#endif
