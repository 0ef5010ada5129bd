/* sort.h: sorts without memory of its own: the C library's function may allocate, and another thread may hold the
 * allocator's lock while it waits for that of adopt.h. */
#ifndef SEGUE_SIGNALS_WATCH_SORT_H
#define SEGUE_SIGNALS_WATCH_SORT_H

#include <stddef.h>

/* As qsort. Async-signal-safe. */
void sort(void *items, size_t count, size_t size, int (*compare)(const void *one, const void *other));

#endif
