/* reach.h: looks up the window through which an address is reached. */
#ifndef SEGUE_EMULATE_REACH_H
#define SEGUE_EMULATE_REACH_H

#include <segue/emulate.h>

/* Contiguous bytes that lie in one window, or all in none. */
struct span {
    /* NULL: they are reached at their own address. */
    const struct segue_window *window;
    /* The first and the last address. */
    uint64_t first, last;
};

/* A provider of windows. Its structures begin with this. */
struct reach {
    /* The span around `address`, clipped to `low` and `high`; it may report a part of the span. The window must live
     * until the step. */
    void (*span_at)(struct reach *reach, uint64_t address, uint64_t low, uint64_t high, struct span *span);
};

/* The location of an address in accessible memory; NULL in callback and forced windows. */
static inline void *reach_host(const struct segue_window *window, uint64_t address)
{
    if (!window || window->kind == SEGUE_WINDOW_EXPOSED)
        return (void *)(uintptr_t)address;
    if (window->kind == SEGUE_WINDOW_ALIAS)
        return (void *)((uintptr_t)window->alias + (uintptr_t)(address - window->base));
    return NULL;
}

#endif
