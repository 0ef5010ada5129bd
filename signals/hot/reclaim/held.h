/* held.h: the retired bodies to which a thread may come back: it stands in one, or a handler will return to it.
 *
 * A thread that comes back to a body later has an address in it: in a register, or in a word of its stack, which is a
 * return address, or the instruction pointer in a signal frame. So every word of both is looked at, from the stack
 * pointer up. What a thread's words happen to be may hold a body for longer than needed, never for shorter.
 *
 * ASSUMPTIONS: a handler that interrupts a body returns on the stack that its frame was written to, and has not copied
 * the frame elsewhere to return by the copy. */
#ifndef SEGUE_SIGNALS_HOT_HELD_H
#define SEGUE_SIGNALS_HOT_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Holds the bodies to which the calling thread may come back, or a thread of the process that waits in a system call.
 * False if that cannot be known at the moment. Not async-signal-safe. */
bool held_by_self(void);
bool held_by_waiting(int thread);

/* Begins to ask a thread; held_is_answered is true, each time from then on, if it has answered. One thread is asked at
 * a time. False if it is not asked: its alternate stack had no room for an answer before. Another signal, before it has
 * returned from the handler, would have none for its frame, and kill it. Not async-signal-safe. */
bool held_ask(int thread);
bool held_is_answered(void);

/* For the handler of such a question, with its frame, and so many bytes left on its stack. Async-signal-safe. */
void held_answer(const void *context, size_t room);

#endif
