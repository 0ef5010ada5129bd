/* look.h: what the kernel reports of another thread of the process, without disturbing it. */
#ifndef SEGUE_PLATFORM_LOOK_H
#define SEGUE_PLATFORM_LOOK_H

#include <stdbool.h>
#include <stdint.h>

enum look {
    /* Not known: /proc is not mounted, or may not be read. */
    LOOK_UNKNOWN,
    /* The thread runs, or waits for a processor. */
    LOOK_RUNS,
    /* The thread waits in the kernel; its stack pointer is known. */
    LOOK_WAITS,
};

/* Looks at a thread of the calling process. Opens and closes a file. */
enum look look_at_thread(int number, uint64_t *stack_pointer);

/* Whether a thread of the calling process waits in a system call: not for a page that one of its instructions needs.
 * Opens and closes a file. */
bool look_is_in_call(int number);

/* Whether a thread of the calling process waits in a call that makes a child, which may run in its memory (vfork).
 * Opens and closes a file. */
bool look_waits_for_child(int number);

/* Whether no thread of this or another process has that TID, or it has ended and is not reaped yet; false if the system
 * does not say. Opens and closes a file. */
bool look_has_ended(int number);

/* The processor time that a thread of the calling process has used, in nanoseconds. False if the system does not say.
 */
bool look_processor_time(int number, uint64_t *nanoseconds);

/* Calls `visit` for each thread of the calling process, until it returns false; threads that begin or end meanwhile may
 * be left out. False if the system does not say which threads there are. Not async-signal-safe. */
bool look_at_threads(bool (*visit)(int number, void *context), void *context);

/* Stores the numbers of the threads of the calling process, the caller's too; threads that begin or end meanwhile may
 * be left out. Returns how many there are, of which at most `most` are stored; 0 if the system does not say.
 * Async-signal-safe. */
unsigned look_list_threads(int *numbers, unsigned most);

#endif
