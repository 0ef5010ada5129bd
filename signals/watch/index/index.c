/* index.c: see index.h.
 *
 * The ranges are sorted by their starts, and `reach[i]` is where the furthest of the first i + 1 ends: so those that
 * touch an access are found from the last one that begins before its end, backwards until the reach ends. A sequence
 * count shows policies at hot sites that the index has changed; a policy in a fault holds it instead. */
#include "index.h"

#include <string.h>

#include "platform/memory/memory.h"
#include "platform/threads/wait.h"
#include "sort.h"

#define CLASSES 7u
#define LARGEST 64u

static struct watch_range *ranges;
static uint64_t *reach;
static uint32_t count, sequence;
/* The policies that hold the index, and whether it is being changed. */
static uint32_t holders, changing;

bool index_prepare(void)
{
    if (!ranges)
        ranges = platform_map_apart((SEGUE_WATCHES_MOST + 1) * sizeof *ranges);
    if (!reach)
        reach = platform_map_apart((SEGUE_WATCHES_MOST + 1) * sizeof *reach);
    return ranges && reach;
}

/* ---- looking ---- */

/* How many ranges begin before `end`. */
static inline SEGUE_HOT_POLICY size_t begun_before(uint64_t end, size_t high)
{
    size_t low = 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].start < end)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

SEGUE_HOT_POLICY bool index_look(const struct watch_access *access, struct watch_range *copies, unsigned most,
                                 unsigned *found)
{
    const uint32_t before = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
    const size_t all = __atomic_load_n(&count, __ATOMIC_RELAXED);
    *found = 0;
    if (before % 2 || all > SEGUE_WATCHES_MOST)
        return false;
    for (size_t i = begun_before(access->address + access->size, all); i-- > 0 && reach[i] > access->address;) {
        const struct watch_range *range = &ranges[i];
        if (range->end <= access->address || !index_wants(range, access))
            continue;
        if (*found == most)
            return false;
        struct watch_range *copy = &copies[(*found)++];
        copy->number = range->number;
        copy->flags = range->flags;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&sequence, __ATOMIC_RELAXED) == before;
}

void index_hold(void)
{
    for (;; wait_a_moment()) {
        __atomic_fetch_add(&holders, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&changing, __ATOMIC_SEQ_CST))
            return;
        __atomic_fetch_sub(&holders, 1, __ATOMIC_SEQ_CST);
    }
}

void index_let_go(void)
{
    __atomic_fetch_sub(&holders, 1, __ATOMIC_RELEASE);
}

/* `*at`: one more than the range looked at last. */
const struct watch_range *index_next(const struct watch_access *access, size_t *at)
{
    const uint64_t end = access->address + access->size;
    size_t i = *at;
    if (i == 0) {
        i = begun_before(end, count);
        while (i > 0 && reach[i - 1] > access->address)
            i--;
    }
    for (; i < count && ranges[i].start < end; i++)
        if (ranges[i].end > access->address && index_wants(&ranges[i], access)) {
            *at = i + 1;
            return &ranges[i];
        }
    *at = count + (size_t)1;
    return NULL;
}

/* ---- changing ---- */

static void begin_change(void)
{
    __atomic_store_n(&changing, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&holders, __ATOMIC_SEQ_CST))
        wait_a_moment();
    __atomic_store_n(&sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void end_change(void)
{
    uint64_t furthest = 0;
    for (size_t i = 0; i < count; i++) {
        furthest = ranges[i].end > furthest ? ranges[i].end : furthest;
        reach[i] = furthest;
    }
    __atomic_store_n(&sequence, sequence + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&changing, 0, __ATOMIC_SEQ_CST);
}

static int compare(const void *one, const void *other)
{
    const struct watch_range *first = one, *second = other;
    if (first->start != second->start)
        return first->start < second->start ? -1 : 1;
    return first->number < second->number ? -1 : first->number > second->number;
}

/* Merges from the end, where there is room. */
static void merge(const struct watch_range *added, size_t adding)
{
    size_t left = count, at = count + adding;
    while (adding > 0) {
        bool old_is_later = left > 0 && compare(&ranges[left - 1], &added[adding - 1]) > 0;
        ranges[--at] = old_is_later ? ranges[--left] : added[--adding];
    }
}

void index_insert(const struct watch_range *given, unsigned adding)
{
    const size_t size = ((adding * sizeof *given) + 4095) & ~(size_t)4095;
    struct watch_range *added = platform_map(size);
    if (!added)
        return;
    memcpy(added, given, adding * sizeof *given);
    sort(added, adding, sizeof *added, compare);
    begin_change();
    merge(added, adding);
    __atomic_store_n(&count, count + adding, __ATOMIC_RELAXED);
    end_change();
    platform_unmap(added, size);
}

bool index_take(uint32_t number, struct watch_range *range)
{
    size_t at = 0;
    while (at < count && ranges[at].number != number)
        at++;
    if (at == count)
        return false;
    *range = ranges[at];
    begin_change();
    memmove(&ranges[at], &ranges[at + 1], (count - at - 1) * sizeof *ranges);
    __atomic_store_n(&count, count - 1, __ATOMIC_RELAXED);
    end_change();
    return true;
}

/* What is left of a range in front of the addresses, and behind. */
static void keep_ends(const struct watch_range *range, uint64_t start, uint64_t end, struct watch_range *kept,
                      size_t *kept_count)
{
    if (range->start < start) {
        kept[*kept_count] = *range;
        kept[(*kept_count)++].end = start;
    }
    if (range->end > end) {
        kept[*kept_count] = *range;
        kept[(*kept_count)++].start = end;
    }
}

size_t index_count_in(uint64_t start, uint64_t end)
{
    size_t found = 0;
    for (size_t i = begun_before(end, count); i-- > 0 && reach[i] > start;)
        found += ranges[i].end > start;
    return found;
}

void index_cut(uint64_t start, uint64_t end, struct watch_range *cut, struct watch_range *kept)
{
    size_t cut_count = 0, kept_count = 0;
    uint32_t left = 0;
    begin_change();
    for (size_t i = 0; i < count; i++) {
        const struct watch_range range = ranges[i];
        if (range.start >= end || range.end <= start) {
            ranges[left++] = range;
            continue;
        }
        cut[cut_count] = range;
        cut[cut_count].start = range.start > start ? range.start : start;
        cut[cut_count++].end = range.end < end ? range.end : end;
        keep_ends(&range, start, end, kept, &kept_count);
    }
    __atomic_store_n(&count, left, __ATOMIC_RELAXED);
    if (kept_count && count + kept_count <= SEGUE_WATCHES_MOST) {
        sort(kept, kept_count, sizeof *kept, compare);
        merge(kept, kept_count);
        __atomic_store_n(&count, count + (uint32_t)kept_count, __ATOMIC_RELAXED);
    }
    end_change();
}

bool index_touches(uint64_t start, uint64_t end)
{
    for (size_t i = begun_before(end, count); i-- > 0 && reach[i] > start;)
        if (ranges[i].end > start)
            return true;
    return false;
}

uint64_t index_watched(uint32_t number, uint64_t start, uint64_t end, uint64_t *from)
{
    uint64_t last = end;
    *from = end;
    for (size_t i = begun_before(end, count); i-- > 0 && reach[i] > start;) {
        if (ranges[i].number != number || ranges[i].end <= start)
            continue;
        *from = ranges[i].start > start ? ranges[i].start : start;
        last = ranges[i].end < end ? ranges[i].end : end;
    }
    return last;
}

/* ---- marks ---- */

/* Accesses that begin from `start` to `end` - 1 touch a range with its bytes from `range` on: all those inside it, and
 * before it those that are large enough. */
static void mark_range(const struct watch_range *range, uint64_t start, uint64_t end, int64_t distance)
{
    uint64_t from = range->start > LARGEST ? range->start - LARGEST : 0;
    for (uint64_t at = from > start ? from : start; at < range->end && at < end; at++) {
        uint8_t bits = 0;
        for (unsigned n = 0; n < CLASSES; n++)
            if (at + (UINT64_C(1) << n) > range->start)
                bits |= (uint8_t)(1u << n);
        uint8_t *mark = (uint8_t *)(uintptr_t)(at + (uint64_t)distance);
        if (bits & ~*mark)
            __atomic_fetch_or(mark, bits, __ATOMIC_RELEASE);
    }
}

void index_mark(uint64_t start, uint64_t end, int64_t distance)
{
    for (size_t i = begun_before(end + LARGEST, count); i-- > 0 && reach[i] > start;)
        mark_range(&ranges[i], start, end, distance);
}

static uint8_t bits_of(uint64_t at)
{
    uint8_t bits = 0;
    for (unsigned n = 0; n < CLASSES; n++)
        bits |= (uint8_t)(index_touches(at, at + (UINT64_C(1) << n)) << n);
    return bits;
}

void index_unmark(uint64_t start, uint64_t end, int64_t distance)
{
    const bool is_empty = !index_touches(start, end + LARGEST);
    for (uint64_t at = start; at < end; at++) {
        uint8_t *mark = (uint8_t *)(uintptr_t)(at + (uint64_t)distance);
        if (*mark)
            __atomic_store_n(mark, is_empty ? 0 : bits_of(at), __ATOMIC_RELEASE);
    }
}
