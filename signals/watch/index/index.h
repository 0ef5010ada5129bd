/* index.h: the ranges that are watched, sorted by address; policies read it while it changes. */
#ifndef SEGUE_SIGNALS_WATCH_INDEX_H
#define SEGUE_SIGNALS_WATCH_INDEX_H

#include <segue/watch.h>

/* A flag of a range, beside enum segue_watch_flags: of a mapping of a file (files.h). */
#define WATCH_OF_FILE (UINT32_C(1) << 31)

struct watch_range {
    uint64_t start, end;
    uint64_t thread;
    /* Of its watch: 1 to SEGUE_WATCHES_MOST. */
    uint32_t number;
    /* enum segue_watch_flags, and WATCH_OF_FILE. */
    uint32_t flags;
    /* With that, the address at which the file's first byte would be. */
    uint64_t origin;
};

/* An access, as policies ask about it. */
struct watch_access {
    uint64_t address, size, thread;
    /* enum segue_direction bits. */
    uint8_t direction;
};

/* ---- for policies: async-signal-safe, general registers only ---- */

/* Whether a range that the access touches wants to know of it. */
static inline SEGUE_HOT_POLICY bool index_wants(const struct watch_range *range, const struct watch_access *access)
{
    if (range->thread && range->thread != access->thread)
        return false;
    if ((access->direction & SEGUE_READ) && (range->flags & SEGUE_WATCH_READ))
        return true;
    return (access->direction & SEGUE_WRITE) && (range->flags & (SEGUE_WATCH_WRITE | SEGUE_WATCH_CHANGE));
}

/* How many ranges want to know of the access; the numbers of the first `most` of them in `numbers`, and whether all of
 * these only count. Fewer or none, and false, if the index is changed at the same time. */
bool index_look(const struct watch_access *access, struct watch_range *ranges, unsigned most, unsigned *found);

/* For several looks at the index as it is, on one thread; the index does not change in between. */
void index_hold(void);
void index_let_go(void);

/* With the index held: the next range that wants to know of the access, in order of the addresses; `*at` is 0 at first.
 * NULL after the last. */
const struct watch_range *index_next(const struct watch_access *access, size_t *at);

/* ---- for who changes it: one at a time, with signals blocked; not async-signal-safe ---- */

/* False if there is no memory. */
bool index_prepare(void);
void index_insert(const struct watch_range *ranges, unsigned count);
/* The range of that number; false if no range has it. */
bool index_take(uint32_t number, struct watch_range *range);
/* How many ranges touch the addresses; takes these out of them. `cut` has room for as many: what was taken; `kept`, for
 * twice as many, is working memory. A range may be in two parts afterwards, with one number. */
size_t index_count_in(uint64_t start, uint64_t end);
void index_cut(uint64_t start, uint64_t end, struct watch_range *cut, struct watch_range *kept);
/* Whether some range touches the addresses. */
bool index_touches(uint64_t start, uint64_t end);
/* The first range of a number that touches the addresses: where it begins there in `from`; returns where it ends there.
 * Both are `end` without one. */
uint64_t index_watched(uint32_t number, uint64_t start, uint64_t end, uint64_t *from);

/* Each address from `start` to `end` - 1 has a byte at a distance from it, in which bit n is set if an access there of
 * 1 << n bytes touches a range: sets those of ranges that were inserted, clears those of ranges that were taken. */
void index_mark(uint64_t start, uint64_t end, int64_t distance);
void index_unmark(uint64_t start, uint64_t end, int64_t distance);

#endif
