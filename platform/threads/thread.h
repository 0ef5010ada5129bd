/* thread.h: threads of this process, as their system knows them: TIDs, masks, waiting.
 *
 * Unless it says otherwise, every function is async-signal-safe and thread-safe, and preserves errno. None fails: a
 * request that the system refuses has no effect. A mask has one bit per signal, signal 1 lowest. */
#ifndef SEGUE_PLATFORM_THREAD_H
#define SEGUE_PLATFORM_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/handlers/numbers.h"

/* A pointer that identifies the calling thread among those alive, as pthread_self does. Reads the thread pointer, and
 * only the memory that it points to. */
const void *platform_thread_self(void);

/* The calling thread's TID, the same for its life; greater than 0. */
int platform_thread_id(void);

/* The process's PID, also right after a raw fork. */
int platform_process_id(void);

/* Precondition: `thread` > 0. True if no thread of this process has that TID. */
bool platform_thread_is_gone(int thread);

/* Precondition: `process` > 0. True if no process has that PID here. */
bool platform_process_is_gone(int process);

/* Whether the calling thread is the only one that uses this memory, threads of other processes included. False if the
 * system does not say. */
bool platform_thread_is_alone(void);

/* Sends `signal` to a thread of this process. False if the thread does not exist. */
bool platform_thread_signal(int thread, int signal);

/* ---- signals that carry a word ---- */

/* Sends `signal` to a thread of this process with a word, which its handler reads with platform_signal_word. Returns
 * 0, or a negative error number: -ESRCH if the thread does not exist. */
long platform_thread_send(int thread, int signal, uint64_t word);

/* For the handler of a signal: `info` is its second argument. True if the signal carries a word. If the signal queue
 * is full, the kernel drops the word. */
bool platform_signal_word(const void *info, uint64_t *word);

/* Whether the system calls that handler for the signal. */
bool platform_handler_is(int signal, const void *handler);

/* Whether that thread of this process blocks the signal; false if the system does not say. Opens and closes a file. */
bool platform_thread_blocks(int thread, int signal);

/* Whether the signal is pending for that thread, and for no other; else as platform_thread_blocks. */
bool platform_thread_has_pending(int thread, int signal);

/* Makes the system write a signal frame on the thread's alternate stack, unless the thread is in a handler there.
 * Needs an unblocked signal whose handler ignores signals from other senders; without one it does nothing. */
void platform_thread_nudge(int thread);

/* ---- blocked signals ---- */

/* A signal's bit in a mask. */
#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

/* The synchronous signals: those that an instruction raises. */
#define SIGNALS_SYNCHRONOUS                                                                                            \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGTRAP) |        \
     SIGNAL_BIT(SIGSYS))

/* Sets the calling thread's mask to `*wanted` if that is not NULL. Returns the mask before. */
uint64_t platform_mask_exchange(const uint64_t *wanted);
/* Sets it without returning the mask before, which takes less time. */
void platform_mask_set(uint64_t wanted);

/* Whether the system lets this process change masks; a filter of system calls may forbid it. */
bool platform_mask_is_allowed(void);

/* Adds signals to the mask, or removes some. Returns the mask before. */
uint64_t platform_mask_block(uint64_t signals);
uint64_t platform_mask_unblock(uint64_t signals);

/* Blocks every signal that can be blocked; returns the mask for platform_signals_release. */
uint64_t platform_signals_hold(void);

/* Blocks asynchronous signals; returns the mask for platform_signals_release. Synchronous ones stay unblocked: a
 * thread that blocks SIGSEGV and faults is killed, and the C library's own code may fault. The signals that the C
 * library needs in every thread stay unblocked, too. */
uint64_t platform_asynchronous_hold(void);

/* Precondition: `before` is the calling thread's result of one of the two. */
void platform_signals_release(uint64_t before);

/* ---- waiting ---- */

#define PLATFORM_FOREVER UINT64_MAX

/* Returns after that many nanoseconds, or when a handler has run. */
void platform_sleep(uint64_t nanoseconds);

/* Waits until platform_wake is called for `*word`, or the time is over. Returns at once if `*word` is not `value`;
 * may return early. */
void platform_wait(const uint32_t *word, uint32_t value, uint64_t nanoseconds);

/* Ends the platform_wait of at most that many threads that wait for `word`. */
void platform_wake(const uint32_t *word, int most);

/* ---- stacks ---- */

/* Whether the calling thread runs on its alternate stack now, as the system reports it: with SS_AUTODISARM it reports
 * no alternate stack while a handler runs there. False without an alternate stack, and if the system does not say. */
bool platform_is_on_alternate_stack(void);

/* The bounds of the calling thread's own stack, as the C library reports them; false if it does not. They include
 * guards and parts that the kernel has not grown yet. Not async-signal-safe. */
bool platform_own_stack(uint64_t *base, uint64_t *end);

#endif
