/* changes.h: the program's own calls that change what is mapped, where pages are watched: they do what they do without
 * a watch. What becomes of the watch is in docs/watch.md. */
#ifndef SEGUE_SIGNALS_WATCH_CHANGES_H
#define SEGUE_SIGNALS_WATCH_CHANGES_H

#include <segue/watch.h>

#include "platform/memory/mappings.h"
#include "signals/watch/index/index.h"

/* Before a region is added. */
void changes_begin(void);

/* Watches what of a mapping is of a file that is followed (files.h), and is not watched yet; `call` has mapped it, or
 * NULL. */
struct system_call;
void changes_watch_files(const struct mapping *mapping, const struct system_call *call);

/* ---- for blocks of the heap, in watch.c ---- */

/* False if there is no memory. */
bool watch_prepare(void);

/* A watch that has no range: its number; 0 if there are too many. `flags`: those of its blocks. */
uint32_t watch_without_range(uint32_t flags);

/* ---- for changes.c, in watch.c; under the lock of adopt.h ---- */

/* How many ranges touch the bytes; takes these out of them, and stores what was taken in `cut`, which may be NULL.
 * False if there is no memory. */
size_t watch_count_in(uint64_t start, uint64_t size);
bool watch_forget(uint64_t start, uint64_t size, struct watch_range *cut);

/* Watches ranges that have numbers, `ids`. Their flags may have WATCH_OF_FILE, with WATCH_ORIGIN. */
#define WATCH_ORIGIN(watch) (watch)->reserved[0]
enum segue_status watch_again(const struct segue_watch *watches, size_t count, uint64_t *ids);

#endif
