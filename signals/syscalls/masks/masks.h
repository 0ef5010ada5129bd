/* masks.h: threads of a process that runs already which block signals that the library needs. From outside these are
 * taken out of their masks; at the end each thread puts them in again, in the handler that takes a knock. */
#ifndef SEGUE_SIGNALS_MASKS_H
#define SEGUE_SIGNALS_MASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/frame/frame.h"

enum opened_state {
    OPENED_WAITS,
    /* It has its own mask again. */
    OPENED_IS_CLOSED,
    /* It is to be asked again: its call is about to end; or its other signals are not those that it blocked. */
    OPENED_NOT_NOW,
    OPENED_HAS_CHANGED,
};

struct opened_mask {
    int32_t thread;
    /* enum opened_state. */
    uint32_t state;
    /* What was taken out of its mask, and what it blocked besides, of the signals that are never taken out. */
    uint64_t removed, rest;
};

/* The list in which threads look themselves up. `never`: the signals that are never taken out. After syscalls_end; the
 * list stays. Not async-signal-safe. */
void masks_close(struct opened_mask *list, size_t count, uint64_t never);

/* Asks one of them, once. Not async-signal-safe. */
void masks_ask(struct opened_mask *opened);

/* At a knock: the thread's state is then its answer. */
void masks_answer(struct native_frame native);

#endif
