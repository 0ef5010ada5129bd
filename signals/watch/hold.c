/* hold.c: see hold.h. Threads that run make new ones, so the system is asked for its list until that has no new one. */
#include "hold.h"

#include <stddef.h>

#include "platform/memory/memory.h"
#include "platform/reason.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/mutator/suspend.h"

/* How long threads are waited for, in nanoseconds, and how often new ones are looked for. */
#define LONGEST UINT64_C(2000000000)
#define ROUNDS 1000u

/* The list, and the numbers of the threads. */
struct room {
    struct segue_suspension threads[SEGUE_SUSPENDED_MOST];
    int numbers[SEGUE_SUSPENDED_MOST];
};

static bool has(const struct held *held, int number)
{
    for (unsigned i = 0; i < held->count; i++)
        if (held->threads[i].thread == (segue_thread_id)number)
            return true;
    return number == platform_thread_id();
}

/* Adds the threads that are not in the list yet. False if the system does not list them, or there are too many. */
static bool find_new(struct room *room, struct held *held)
{
    unsigned count = look_list_threads(room->numbers, SEGUE_SUSPENDED_MOST);
    if (count == 0 || count > SEGUE_SUSPENDED_MOST)
        return false;
    const struct held before = *held;
    for (unsigned i = 0; i < count; i++)
        if (!has(&before, room->numbers[i])) {
            if (held->count == SEGUE_SUSPENDED_MOST)
                return false;
            held->threads[held->count++] = (struct segue_suspension){.thread = (segue_thread_id)room->numbers[i]};
        }
    return true;
}

/* Those from `from` on; threads that have ended leave the list. */
static enum segue_status suspend_from(struct held *held, unsigned from)
{
    enum segue_status status = suspend_blocking_too(held->threads + from, held->count - from, LONGEST);
    unsigned kept = from;
    if (status == SEGUE_BUSY || status == SEGUE_NOT_FOUND || status == SEGUE_NOT_LAST) {
        held->count = from;
        return status;
    }
    for (unsigned i = from; i < held->count; i++)
        if (held->threads[i].status == SEGUE_OK)
            held->threads[kept++] = held->threads[i];
    held->count = kept;
    return status;
}

static const char *why(enum segue_status status)
{
    switch (status) {
    case SEGUE_NOT_FOUND:
        return "other threads must be suspended: call segue_suspend_install first";
    case SEGUE_TIMEOUT:
        return "a thread could not be suspended: it blocks the signal, or waits where no signal interrupts it";
    case SEGUE_NOT_LAST:
        return "another handler has replaced that of the suspending signal";
    case SEGUE_BUSY:
        return "another thread has suspended threads";
    default:
        return "threads could not be suspended";
    }
}

enum segue_status hold_all(struct held *held)
{
    struct room *room = platform_map(sizeof *room);
    *held = (struct held){.threads = room ? room->threads : NULL};
    if (!room)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned before = held->count;
        if (!find_new(room, held)) {
            held->count = before;
            break;
        }
        if (held->count == before)
            return SEGUE_OK;
        enum segue_status status = suspend_from(held, before);
        if (status != SEGUE_OK) {
            hold_end(held);
            return reason_give(status, why(status));
        }
    }
    hold_end(held);
    return reason_give(SEGUE_UNSUPPORTED, "the threads of the process are not known, or too many");
}

void hold_end(struct held *held)
{
    segue_threads_resume(held->threads, held->count);
    platform_unmap(held->threads, sizeof(struct room));
    *held = (struct held){.threads = NULL};
}
