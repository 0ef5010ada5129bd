/* gaps.h: the addresses that are free, and into which neither the heap nor the first thread's stack may grow.
 *
 * The system's list of mappings is read once for many questions: reading it takes as long as making twenty sites hot.
 * What another thread maps meanwhile is noticed when it is in the way; what it unmaps is found later.
 *
 * One caller at a time. Async-signal-safe. */
#ifndef SEGUE_PATCH_HOT_GAPS_H
#define SEGUE_PATCH_HOT_GAPS_H

#include <stdbool.h>
#include <stdint.h>

struct gap_search {
    /* `size` bytes in [low, end), as close to `near` as possible. */
    uint64_t low, end, size, near;
    /* The result, and the free addresses around it. */
    uint64_t place, from, to;
};

/* False if no such place is free. */
bool gaps_find(struct gap_search *search);

/* The caller has mapped something there. */
void gaps_take(uint64_t start, uint64_t end);

/* Something else is mapped where a place was found: the list is read again. */
void gaps_forget(void);

#endif
