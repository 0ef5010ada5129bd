/* reach.h: through which windows addresses are reached. */
#ifndef SEGUE_EMULATE_REACH_H
#define SEGUE_EMULATE_REACH_H

#include <segue/emulate.h>

/* Bytes that lie in one window, or in none, all of them. */
struct span {
    /* NULL: they are reached at their own address. */
    const struct segue_window *window;
    /* The first and the last address. */
    uint64_t first, last;
};

/* Who knows which windows there are. The structures of those who do begin with this. */
struct reach {
    /* The span that `address` is in, as far as it lies between `low` and `high`; it may tell less of it. The window
     * must live until the step. */
    void (*span_at)(struct reach *reach, uint64_t address, uint64_t low, uint64_t high, struct span *span);
};

/* The place of an address in the memory that can be accessed; NULL in callback and forced windows. */
static inline void *reach_host(const struct segue_window *window, uint64_t address)
{
    if (!window || window->kind == SEGUE_WINDOW_EXPOSED)
        return (void *)(uintptr_t)address;
    if (window->kind == SEGUE_WINDOW_ALIAS)
        return (void *)((uintptr_t)window->alias + (uintptr_t)(address - window->base));
    return NULL;
}

#endif
