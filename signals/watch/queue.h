/* queue.h: events on their way from the threads that watched memory sees to a thread that reads them; in shared memory,
 * so the reader may be another process.
 *
 * SOURCES: Vyukov, "Bounded MPMC queue": each place has a number that shows whose turn it is. */
#ifndef SEGUE_SIGNALS_WATCH_QUEUE_H
#define SEGUE_SIGNALS_WATCH_QUEUE_H

#include <segue/watch.h>

/* Uses this memory, zeroed and shared, in place of the process's own; before the first segue_watch_add. `size` is that
 * of a power of two of places. */
struct watch_queue;
size_t queue_size(uint32_t places);
void queue_use(struct watch_queue *queue, uint32_t places);
/* False if there is no memory. Not async-signal-safe. */
bool queue_prepare(void);

/* Adds a record; waits while there is no place if `waits`, else counts it as lost. Async-signal-safe, thread-safe. */
void queue_put(const struct segue_watch_record *record, bool waits);

/* Takes up to `capacity` records, and how many were lost; one reader at a time. For the reader in another process. */
size_t queue_take(struct watch_queue *queue, struct segue_watch_record *records, size_t capacity);
uint64_t queue_take_lost(struct watch_queue *queue);

#endif
