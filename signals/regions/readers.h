/* readers.h: how a remover knows that no fault in progress can still see what it took out.
 *
 * A fault enters before it looks a region up and leaves when it needs it no more; neither ever waits. A remover takes
 * the region out of the table first, then waits. Meanwhile the fault has a place of its own, a number, which is that of
 * its work area, too (work.h). */
#ifndef SEGUE_SIGNALS_READERS_H
#define SEGUE_SIGNALS_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/identity.h"

struct region;
struct thread_mark;

/* Returns the place. `mark`, which may be NULL, is that of the thread's outermost fault. Async-signal-safe. */
uint32_t readers_enter(const struct thread_mark *mark);

/* The thread's count of tickets when that place's was made. Async-signal-safe. */
uint32_t readers_ticket(uint32_t place);

/* The fault has looked up all regions that it will use: these. Async-signal-safe. */
void readers_found(uint32_t place, const struct region *const *regions, size_t count);

/* It will look regions up again. Async-signal-safe. */
void readers_look_again(uint32_t place);

/* Async-signal-safe. */
void readers_leave(uint32_t place);

/* All the calling thread's faults are over without having left; those that have entered since its count of tickets was
 * `ticket`, that one too; and those tickets with its number that are of none of its faults, but may be of a thread
 * before it that had the same number. What they held is given back. Async-signal-safe. */
void readers_forget(void);
void readers_forget_since(uint32_t ticket);
void readers_forget_strays(void);

/* Returns when every reader that was inside at the call and may know the region has left, or is gone; NULL: every
 * reader. Not async-signal-safe; not from inside. */
void readers_wait(const struct region *region);

/* Whether a signal is a remover's question to a thread that it has waited long for: the answer is to settle. `info` is
 * the second argument of its handler. Async-signal-safe. */
bool readers_is_question(const void *info);

/* In a child made by fork: forgets all readers but the calling thread, which may have forked inside a policy, and has
 * another number now. */
void readers_reset(void);

/* In a child that had no fork handlers: the calling thread made it, when its number was `before`, and is `self` now. What
 * it is inside of keeps its place. Async-signal-safe. */
void readers_rename(int before, struct identity self);

#endif
