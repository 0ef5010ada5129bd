/* counts.h: how often instructions have accessed ranges. */
#ifndef SEGUE_SIGNALS_WATCH_COUNTS_H
#define SEGUE_SIGNALS_WATCH_COUNTS_H

#include "counts_layout.h"

/* Uses this memory, zeroed, of COUNTS_SIZE bytes; before the first segue_watch_add. */
void counts_use(void *table);

/* False if there is no memory. */
bool counts_prepare(void);

/* Counts an access; in the last place, if another instruction has no place. `number`: of the watch.
 * Async-signal-safe, thread-safe; general registers only. */
void counts_add(uint32_t number, uint64_t site, uint8_t direction);

/* Forgets a watch's counts. */
void counts_clear(uint32_t number);

/* As segue_watch_counts, for a watch that exists. */
enum segue_status counts_list(uint32_t number, struct segue_watch_count *counts, size_t capacity, size_t *count);

#endif
