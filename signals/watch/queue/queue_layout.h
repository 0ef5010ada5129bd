/* queue_layout.h: the queue in memory, for its readers in another process, too. */
#ifndef SEGUE_SIGNALS_WATCH_QUEUE_LAYOUT_H
#define SEGUE_SIGNALS_WATCH_QUEUE_LAYOUT_H

#include <segue/watch.h>
#include <stddef.h>
#include <string.h>

/* The block of the heap that an access is in; `start` is 0 where it is in none. */
struct queue_block {
    uint64_t start, size;
    /* Which of the watched blocks it is, from 1 on; the address that the call returns to that allocated it. */
    uint64_t serial, caller;
    uint32_t is_freed;
    uint32_t reserved;
};

struct queue_place {
    /* The number of the next record that is put here; one more, once that is done. */
    uint64_t turn;
    struct segue_watch_record record;
    /* The thread that puts a record here; 0 once that is taken. */
    uint64_t writer;
    struct queue_block block;
};

/* What the queue keeps of a thread's stack with each record, if it is used so: from the stack pointer on, as much as
 * there is. */
#define QUEUE_STACK_SIZE UINT64_C(32768)
#define QUEUE_REGISTERS 17u
struct queue_stack {
    /* In the order of struct segue_regs, up to RIP; as they were before the access. */
    uint64_t registers[QUEUE_REGISTERS];
    uint64_t size;
    unsigned char bytes[QUEUE_STACK_SIZE - 8 * (QUEUE_REGISTERS + 1)];
};

struct watch_queue {
    _Alignas(64) uint64_t puts;
    _Alignas(64) uint64_t takes;
    uint64_t lost;
    /* A power of two. */
    uint64_t places;
    /* No record is wanted any more. */
    uint32_t is_closed;
    /* The process that reads the queue, if that is another one; or 0. */
    uint32_t reader;
    _Alignas(64) struct queue_place place[];
};

static inline size_t queue_size(uint32_t places)
{
    return sizeof(struct watch_queue) + places * sizeof(struct queue_place);
}

/* Takes a record, its block if `block` is not NULL, and its stack if `stacks` is not NULL: one for each place. False if
 * the queue is empty. */
static inline bool queue_take_with(struct watch_queue *queue, struct segue_watch_record *record,
                                   struct queue_block *block, const struct queue_stack *stacks,
                                   struct queue_stack *stack)
{
    uint64_t at = __atomic_load_n(&queue->takes, __ATOMIC_RELAXED);
    for (;;) {
        struct queue_place *place = &queue->place[at & (queue->places - 1)];
        int64_t ahead = (int64_t)(__atomic_load_n(&place->turn, __ATOMIC_ACQUIRE) - (at + 1));
        if (ahead < 0)
            return false;
        if (ahead > 0) {
            at = __atomic_load_n(&queue->takes, __ATOMIC_RELAXED);
        } else if (__atomic_compare_exchange_n(&queue->takes, &at, at + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            *record = place->record;
            if (block)
                *block = place->block;
            if (stacks) {
                const struct queue_stack *from = &stacks[at & (queue->places - 1)];
                const uint64_t size = from->size <= sizeof from->bytes ? from->size : 0;
                memcpy(stack->registers, from->registers, sizeof stack->registers);
                memcpy(stack->bytes, from->bytes, size);
                stack->size = size;
            }
            __atomic_store_n(&place->writer, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&place->turn, at + queue->places, __ATOMIC_RELEASE);
            return true;
        }
    }
}

static inline bool queue_take(struct watch_queue *queue, struct segue_watch_record *record)
{
    return queue_take_with(queue, record, NULL, NULL, NULL);
}

/* The number of the record that is next, if a thread has begun to put it and has not done so: `*writer`, or 0 if that
 * thread has only just begun. False if there is no such record. */
static inline bool queue_is_begun(const struct watch_queue *queue, uint64_t *number, uint64_t *writer)
{
    uint64_t at = __atomic_load_n(&queue->takes, __ATOMIC_RELAXED);
    const struct queue_place *place = &queue->place[at & (queue->places - 1)];
    *number = at;
    *writer = __atomic_load_n(&place->writer, __ATOMIC_RELAXED);
    return __atomic_load_n(&queue->puts, __ATOMIC_RELAXED) > at &&
           __atomic_load_n(&place->turn, __ATOMIC_ACQUIRE) == at;
}

/* That thread has been killed: the queue goes on without its record. */
static inline void queue_pass(struct watch_queue *queue, uint64_t number)
{
    struct queue_place *place = &queue->place[number & (queue->places - 1)];
    uint64_t at = number;
    if (!__atomic_compare_exchange_n(&queue->takes, &at, number + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&place->writer, 0, __ATOMIC_RELAXED);
    __atomic_fetch_add(&queue->lost, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&place->turn, number + queue->places, __ATOMIC_RELEASE);
}

#endif
