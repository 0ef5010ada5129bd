/* queue_layout.h: the queue in memory, for its readers in another process, too. */
#ifndef SEGUE_SIGNALS_WATCH_QUEUE_LAYOUT_H
#define SEGUE_SIGNALS_WATCH_QUEUE_LAYOUT_H

#include <segue/watch.h>

struct queue_place {
    /* The number of the next record that is put here; one more, once that is done. */
    uint64_t turn;
    struct segue_watch_record record;
    uint64_t unused[6];
};

struct watch_queue {
    _Alignas(64) uint64_t puts;
    _Alignas(64) uint64_t takes;
    uint64_t lost;
    /* A power of two. */
    uint64_t places;
    /* No record is wanted any more. */
    uint32_t is_closed;
    _Alignas(64) struct queue_place place[];
};

static inline size_t queue_size(uint32_t places)
{
    return sizeof(struct watch_queue) + places * sizeof(struct queue_place);
}

/* Takes a record; false if the queue is empty. One reader at a time. */
static inline bool queue_take(struct watch_queue *queue, struct segue_watch_record *record)
{
    const uint64_t at = queue->takes;
    struct queue_place *place = &queue->place[at & (queue->places - 1)];
    if (__atomic_load_n(&place->turn, __ATOMIC_ACQUIRE) != at + 1)
        return false;
    *record = place->record;
    __atomic_store_n(&place->turn, at + queue->places, __ATOMIC_RELEASE);
    queue->takes = at + 1;
    return true;
}

#endif
