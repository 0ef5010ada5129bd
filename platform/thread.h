/* thread.h: threads of this process, as their system knows them: numbers, masks, waiting.
 *
 * Every function: async-signal-safe, thread-safe, and errno stays as it was, unless it says otherwise. None fails:
 * what the system refuses has no effect. A mask has one bit a signal, signal 1 lowest. */
#ifndef SEGUE_PLATFORM_THREAD_H
#define SEGUE_PLATFORM_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* What names the calling thread among those alive, as pthread_self does. Reads the thread pointer, and no memory but
 * what that leads to. */
const void *platform_thread_self(void);

/* The system's number of the calling thread, the same for its life; greater than 0. */
int platform_thread_id(void);

/* The system's number of this process, right after a raw fork too. */
int platform_process_id(void);

/* Precondition: `thread` > 0. True if no thread of this process has that number. */
bool platform_thread_is_gone(int thread);

/* Precondition: `process` > 0. True if no process has that number here. */
bool platform_process_is_gone(int process);

/* Sends `signal` to a thread of this process. False if there is no such thread. */
bool platform_thread_signal(int thread, int signal);

/* ---- signals that carry a word ---- */

/* Sends `signal` to a thread of this process with a word, which its handler reads with platform_signal_word. Returns 0,
 * or a negative error number: -ESRCH where there is no such thread. */
long platform_thread_send(int thread, int signal, uint64_t word);

/* For the handler of a signal: `info` is the second argument that it got. True if the signal was sent with a word. A
 * signal whose queue is full comes without. */
bool platform_signal_word(const void *info, uint64_t *word);

/* Whether it is that handler that the system calls for the signal. */
bool platform_handler_is(int signal, const void *handler);

/* Whether that thread of this process blocks the signal; false where the system does not say. Opens and closes a
 * file. */
bool platform_thread_blocks(int thread, int signal);

/* Has the system write a signal's frame on the thread's alternate stack, unless the thread is in a handler there, if
 * there is a signal that comes through and whose handler does nothing with what others send. */
void platform_thread_nudge(int thread);

/* ---- signals held back ---- */

/* Sets the calling thread's mask to `*wanted` if that is not NULL. Returns the mask before. */
uint64_t platform_mask_exchange(const uint64_t *wanted);

/* Whether the system lets this process change masks; a filter of system calls may not. */
bool platform_mask_is_allowed(void);

/* Adds signals to the mask, or takes some out of it. Returns the mask before. */
uint64_t platform_mask_block(uint64_t signals);
uint64_t platform_mask_unblock(uint64_t signals);

/* Holds back every signal that can be; returns the mask for platform_signals_release. */
uint64_t platform_signals_hold(void);

/* Holds back the signals that come from outside; returns the mask for platform_signals_release. Those that a fault
 * raises come through: a thread that blocks SIGSEGV and faults is killed, and what faults may be the C library's own
 * code. So do those that the C library needs of every thread. */
uint64_t platform_asynchronous_hold(void);

/* Precondition: `before` is what the calling thread got from one of the two. */
void platform_signals_release(uint64_t before);

/* ---- waiting ---- */

#define PLATFORM_FOREVER UINT64_MAX

/* Returns after so many nanoseconds, or when a handler has run. */
void platform_sleep(uint64_t nanoseconds);

/* Waits until platform_wake is called for `*word`, or the time is over. Returns at once if `*word` is not `value`; may
 * return early. */
void platform_wait(const uint32_t *word, uint32_t value, uint64_t nanoseconds);

/* Ends the platform_wait of at most so many threads that wait for `word`. */
void platform_wake(const uint32_t *word, int most);

/* ---- stacks ---- */

/* Whether the calling thread runs on its alternate stack now, as far as the system says: with SS_AUTODISARM it says no
 * while a handler runs there. False where there is none. `*base`, if not NULL: the lowest address of the alternate
 * stack, 0 where there is none. */
bool platform_is_on_alternate_stack(uint64_t *base);

/* Where the calling thread's own stack lies, as the C library says; false if it does not. Guards, and what is not grown
 * yet, are not told apart. Not async-signal-safe. */
bool platform_own_stack(uint64_t *base, uint64_t *end);

#endif
