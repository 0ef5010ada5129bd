/* queue.h: events on their way from the threads that watched memory sees to a thread that reads them; in shared memory,
 * so the reader may be another process.
 *
 * SOURCES: Vyukov, "Bounded MPMC queue": each place has a number that shows whose turn it is. */
#ifndef SEGUE_SIGNALS_WATCH_QUEUE_H
#define SEGUE_SIGNALS_WATCH_QUEUE_H

#include "queue_layout.h"

/* Uses this memory, zeroed and shared, of queue_size(places) bytes, in place of the process's own; before the first
 * segue_watch_add. `places` is a power of two. */
void queue_use(struct watch_queue *queue, uint32_t places);
/* Keeps a stack with each record: `stacks` has one for each place. */
void queue_use_stacks(struct queue_stack *stacks);
/* False if there is no memory. Not async-signal-safe. */
bool queue_prepare(void);

/* Where it is; NULL before. */
const void *queue_memory(void);

/* Of the next record. Async-signal-safe. */
uint64_t queue_number(void);

/* Adds a record. While there is no place, waits if `waits` and the queue's reader has not ended; else counts the record
 * as lost. `block`: the one of the heap that the access is in, or NULL. `regs`: the thread's before the access; NULL
 * keeps no stack. Async-signal-safe, thread-safe. */
void queue_put(const struct segue_watch_record *record, const struct queue_block *block, const struct segue_regs *regs,
               bool waits);

#endif
