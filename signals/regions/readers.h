/* readers.h: grace periods for region removal.
 *
 * A fault handler is a reader: it announces itself before it looks up a region (readers_enter) and withdraws when it
 * has finished with the region (readers_leave); both are wait-free unless all slots are taken. A remover first unlinks
 * the region and then calls readers_wait, which returns when every reader that was active at the call has withdrawn, as
 * synchronize_rcu() does.
 *
 * A reader has a slot, its "place"; the slot's number is also that of the fault's work area (work.h). A reader whose
 * handler was abandoned by siglongjmp never withdraws. After some time readers_wait looks from outside whether the
 * thread has left its fault (readers.c). If no look shows it, readers_wait signals the thread; the handler recognises
 * the signal by knock_take and drops the stale slot. */
#ifndef SEGUE_SIGNALS_READERS_H
#define SEGUE_SIGNALS_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/threads/identity.h"

struct region;
struct thread_mark;

/* Announces a reader, and returns its slot. `mark`, which may be NULL, is that of the thread's outermost fault.
 * Async-signal-safe. */
uint32_t readers_enter(const struct thread_mark *mark);

/* The thread's count of tickets when that slot's ticket was made. Async-signal-safe. */
uint32_t readers_ticket(uint32_t place);

/* The fault has looked up all regions that it will use, namely these: removers of others need not wait for it.
 * Async-signal-safe. */
void readers_found(uint32_t place, const struct region *const *regions, size_t count);

/* The fault will look up regions again: removers of any region wait for it. Async-signal-safe. */
void readers_look_again(uint32_t place);

/* Withdraws the reader. Async-signal-safe. */
void readers_leave(uint32_t place);

/* Each drops stale slots of the calling thread, and releases what their faults held: all its slots; those of faults
 * that began when its count of tickets was `ticket` or later; and those with its TID that belong to none of its
 * faults, but perhaps to an earlier thread with the same TID. Async-signal-safe. */
void readers_forget(void);
void readers_forget_since(uint32_t ticket);
void readers_forget_strays(void);

/* Waits for a grace period: returns when every reader that was active at the call and may know `region` has withdrawn
 * or is stale; NULL: every reader. Not async-signal-safe; not inside a fault. */
void readers_wait(const struct region *region);

/* Asks a thread of this process that has run for long; `mark` is that of what it may have left. The handler then
 * settles (thread_settle). */
void readers_ask(int thread, const struct thread_mark *mark);

/* In a child made by fork: drops all readers except those of the calling thread, which may have forked inside a
 * policy, and has another TID now. */
void readers_reset(void);

/* In a child that ran no fork handlers: the thread that made it had the TID `before`, and is `self` now. Its faults
 * in progress keep their slots. Async-signal-safe. */
void readers_rename(int before, struct identity self);

#endif
