/* watch.c: ranges that are watched, and the pages that they are in.
 *
 * Adjacent pages that are adopted together are an area: a region, whose marks (index.h) lie behind its second view. An
 * area is given back with its last range. */
#include <segue/handler.h>
#include <segue/watch.h>

#include <stdlib.h>
#include <string.h>

#include "adopt.h"
#include "decode/x86/page.h"
#include "hold.h"
#include "index.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "policy.h"
#include "signals/regions/region.h"
#include "signals/syscalls/syscalls.h"
#include "signals/threads/thread.h"
#include "signals/watch/counts/counts.h"
#include "signals/watch/queue/queue.h"

#define AREAS 65536u
/* The largest access by one address and one size. */
#define LARGEST 64u
#define KNOWN_FLAGS (SEGUE_WATCH_READ | SEGUE_WATCH_WRITE | SEGUE_WATCH_CHANGE | SEGUE_WATCH_COUNT | SEGUE_WATCH_WAIT)

/* All under the lock of adopt.h. `areas`: sorted by address. */
static struct adopted *areas;
static unsigned area_count;
static bool *is_used;
/* By number: what a watch has counted may be in the table. */
static bool *has_counted;
static uint32_t last_number;

static bool prepare(void)
{
    if (!areas)
        areas = platform_map_apart(AREAS * sizeof *areas);
    if (!is_used)
        is_used = platform_map(((size_t)SEGUE_WATCHES_MOST + PAGE) & ~(size_t)(PAGE - 1));
    if (!has_counted)
        has_counted = platform_map(((size_t)SEGUE_WATCHES_MOST + PAGE) & ~(size_t)(PAGE - 1));
    policy_begin();
    return areas && is_used && has_counted && index_prepare() && counts_prepare() && queue_prepare();
}

static int64_t distance_of_marks(const struct adopted *area)
{
    return (int64_t)(adopt_room(area) - area->pages.at);
}

/* ---- arguments ---- */

static const char *misuse(const struct segue_watch *watch)
{
    const uint64_t at = (uint64_t)(uintptr_t)watch->address;
    if (!RESERVED_IS_ZERO(watch) || watch->reserved32)
        return "watch.reserved is not zero: was the struct initialised?";
    if (!watch->address || !watch->size || at + watch->size < at || at + watch->size > TABLE_LIMIT)
        return "watch.address is NULL, watch.size is 0, or the range is not a program's memory";
    if (watch->flags & ~(uint32_t)KNOWN_FLAGS)
        return "watch.flags has a bit that enum segue_watch_flags does not define";
    if (!(watch->flags & (SEGUE_WATCH_READ | SEGUE_WATCH_WRITE | SEGUE_WATCH_CHANGE)))
        return "watch.flags has none of SEGUE_WATCH_READ, SEGUE_WATCH_WRITE and SEGUE_WATCH_CHANGE";
    return NULL;
}

static uint32_t take_number(void)
{
    do
        last_number = last_number % SEGUE_WATCHES_MOST + 1;
    while (is_used[last_number - 1]);
    is_used[last_number - 1] = true;
    return last_number;
}

/* ---- areas ---- */

/* The first area that ends behind the address. */
static unsigned area_behind(uint64_t address)
{
    unsigned low = 0, high = area_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (areas[middle].pages.at + areas[middle].pages.size <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct segue_region region_of(const struct adopted *area)
{
    return (struct segue_region){
        .window = segue_window_alias((void *)(uintptr_t)area->pages.at, area->pages.size,
                                     (void *)(uintptr_t)area->pages.alias),
        .policy = policy_of_fault,
        .hot_policy = policy_of_site,
        .flags = SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL,
    };
}

/* The program's protections, which the second view has. */
static bool open_pages(const struct adoption *pages)
{
    const uint64_t end = pages->alias + pages->size;
    struct mapping mapping;
    uint64_t part;
    for (uint64_t alias = pages->alias; alias < end; alias += part) {
        if (!mappings_find(alias, &mapping))
            return false;
        part = (mapping.end < end ? mapping.end : end) - alias;
        if (platform_protect(alias - pages->alias + pages->at, part, mapping.protection) != 0)
            return false;
    }
    return true;
}

static enum segue_status give_back(const struct adopted *area)
{
    open_pages(&area->pages);
    enum segue_status status = segue_region_remove((void *)(uintptr_t)area->pages.at);
    if (status != SEGUE_OK)
        return reason_give(status, "a hot site of the pages could not be undone");
    return adopt_release(area);
}

/* A region over adopted pages. Their marks are still zero: all accesses go to the second view. */
static enum segue_status begin_area(const struct adopted *area)
{
    if (platform_protect(adopt_room(area), area->pages.size, PLATFORM_READ | PLATFORM_WRITE) != 0)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    const struct segue_region region = region_of(area);
    return region_add_watched(&region, distance_of_marks(area));
}

static void insert_area(const struct adopted *area)
{
    unsigned at = area_behind(area->pages.at);
    memmove(&areas[at + 1], &areas[at], (area_count - at) * sizeof *areas);
    areas[at] = *area;
    area_count++;
}

/* ---- the pages of ranges ---- */

struct span {
    uint64_t start, end;
};

static int compare_spans(const void *one, const void *other)
{
    const struct span *first = one, *second = other;
    return first->start < second->start ? -1 : first->start > second->start;
}

static size_t join_spans(struct span *spans, size_t count)
{
    size_t last = 0;
    qsort(spans, count, sizeof *spans, compare_spans);
    for (size_t i = 1; i < count; i++)
        if (spans[i].start > spans[last].end)
            spans[++last] = spans[i];
        else if (spans[i].end > spans[last].end)
            spans[last].end = spans[i].end;
    return last + 1;
}

/* What of the spans is in no area yet; at most `most` of it. Returns how much there is. */
static size_t find_missing(const struct span *spans, size_t count, struct adopted *missing, size_t most)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t at = spans[i].start;
        for (unsigned area = area_behind(at); at < spans[i].end; area++) {
            bool is_last = area == area_count || areas[area].pages.at >= spans[i].end;
            uint64_t end = is_last ? spans[i].end : areas[area].pages.at;
            if (at < end && found++ < most)
                missing[found - 1] = (struct adopted){.pages = {.at = at, .size = end - at}};
            at = is_last ? end : areas[area].pages.at + areas[area].pages.size;
        }
    }
    return found;
}

/* Areas for what has none. All or none. */
static enum segue_status make_areas(struct adopted *made, unsigned count)
{
    enum segue_status status = adopt_all(made, count, true);
    if (status != SEGUE_OK)
        return status;
    unsigned begun = 0;
    while (begun < count && (status = begin_area(&made[begun])) == SEGUE_OK)
        begun++;
    if (status == SEGUE_OK)
        return SEGUE_OK;
    const char *why = segue_reason();
    for (unsigned i = 0; i < count; i++)
        if (i < begun)
            give_back(&made[i]);
        else
            adopt_release(&made[i]);
    return reason_give(status, why);
}

/* ---- marks ---- */

/* The part of the addresses that is in the area; with those from which a large access reaches them. */
static struct span part_in(const struct adopted *area, uint64_t start, uint64_t end)
{
    const uint64_t from = start > LARGEST ? start - LARGEST : 0, area_end = area->pages.at + area->pages.size;
    return (struct span){from > area->pages.at ? from : area->pages.at, end < area_end ? end : area_end};
}

static bool is_watched(const struct adopted *area)
{
    return index_touches(area->pages.at, area->pages.at + area->pages.size);
}

static enum segue_status unmark(const struct watch_range *range)
{
    enum segue_status status = SEGUE_OK;
    unsigned at = area_behind(range->start > LARGEST ? range->start - LARGEST : 0);
    while (at < area_count && areas[at].pages.at < range->end) {
        struct span part = part_in(&areas[at], range->start, range->end);
        index_unmark(part.start, part.end, distance_of_marks(&areas[at]));
        if (is_watched(&areas[at])) {
            at++;
            continue;
        }
        const struct adopted area = areas[at];
        memmove(&areas[at], &areas[at + 1], (area_count - at - 1) * sizeof *areas);
        area_count--;
        enum segue_status given = give_back(&area);
        status = status == SEGUE_OK ? given : status;
    }
    return status;
}

/* Of a number that is used. */
static enum segue_status end_watch(uint32_t number)
{
    struct watch_range range;
    uint64_t before = platform_asynchronous_hold();
    bool was = index_take(number, &range);
    platform_signals_release(before);
    is_used[number - 1] = false;
    return was ? unmark(&range) : SEGUE_NOT_FOUND;
}

/* ---- adding ---- */

static void mark(const struct segue_watch *watch)
{
    const uint64_t start = (uint64_t)(uintptr_t)watch->address, end = start + watch->size;
    for (unsigned i = area_behind(start > LARGEST ? start - LARGEST : 0); i < area_count && areas[i].pages.at < end;
         i++) {
        struct span part = part_in(&areas[i], start, end);
        index_mark(part.start, part.end, distance_of_marks(&areas[i]));
    }
}

/* The working memory of a call. */
struct work {
    struct span *spans;
    struct adopted *missing;
    struct watch_range *ranges;
    size_t size;
};

static bool is_new(const struct adopted *area, const struct adopted *made, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (made[middle].pages.at < area->pages.at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && made[low].pages.at == area->pages.at;
}

/* In areas that were there before, instructions that access the second view without a check are undone. */
static enum segue_status mark_anew(const struct work *work, size_t spans, size_t made)
{
    enum segue_status status = SEGUE_OK;
    for (size_t i = 0; i < spans && status == SEGUE_OK; i++)
        for (unsigned area = area_behind(work->spans[i].start);
             area < area_count && areas[area].pages.at < work->spans[i].end && status == SEGUE_OK; area++) {
            const struct segue_region region = region_of(&areas[area]);
            if (!is_new(&areas[area], work->missing, made))
                status = segue_region_update(&region);
        }
    return status;
}

static bool map_work(struct work *work, size_t count)
{
    const size_t each = sizeof *work->spans + 2 * sizeof *work->missing + sizeof *work->ranges;
    work->size = (count * each + PAGE - 1) & ~(size_t)(PAGE - 1);
    char *memory = platform_map(work->size);
    work->spans = (struct span *)(void *)memory;
    work->missing = (struct adopted *)(void *)(work->spans + count);
    work->ranges = (struct watch_range *)(void *)(work->missing + 2 * count);
    return memory != NULL;
}

static void take_ranges(const struct segue_watch *watches, size_t count, struct watch_range *ranges, uint64_t *ids)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t start = (uint64_t)(uintptr_t)watches[i].address;
        ranges[i] =
            (struct watch_range){start, start + watches[i].size, watches[i].thread, take_number(), watches[i].flags};
        ids[i] = ranges[i].number;
        bool *counted = &has_counted[ranges[i].number - 1];
        if (*counted)
            counts_clear(ranges[i].number);
        *counted = watches[i].flags & SEGUE_WATCH_COUNT;
    }
}

/* Where system calls are caught, all other threads are interrupted meanwhile: a call that waits with a pointer into the
 * pages begins again, and is then looked at. */
static enum segue_status close_pages(const struct adopted *made, size_t count)
{
    struct held held;
    const bool holds = count && syscalls_are_caught();
    enum segue_status status = holds ? hold_all(&held) : SEGUE_OK;
    if (status != SEGUE_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        platform_protect(made[i].pages.at, made[i].pages.size, PLATFORM_NONE);
    if (holds)
        hold_end(&held);
    return SEGUE_OK;
}

static enum segue_status add(const struct segue_watch *watches, size_t count, uint64_t *ids, struct work *work)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t start = (uint64_t)(uintptr_t)watches[i].address;
        work->spans[i] = (struct span){start & -(uint64_t)PAGE, (start + watches[i].size + PAGE - 1) & -(uint64_t)PAGE};
    }
    const size_t spans = join_spans(work->spans, count);
    const size_t missing = find_missing(work->spans, spans, work->missing, 2 * count);
    if (missing > 2 * count || area_count + missing > AREAS)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    enum segue_status status = make_areas(work->missing, (unsigned)missing);
    if (status != SEGUE_OK)
        return status;
    uint64_t before = platform_asynchronous_hold();
    for (size_t i = 0; i < missing; i++)
        insert_area(&work->missing[i]);
    take_ranges(watches, count, work->ranges, ids);
    index_insert(work->ranges, (unsigned)count);
    for (size_t i = 0; i < count; i++)
        mark(&watches[i]);
    platform_signals_release(before);
    status = mark_anew(work, spans, missing);
    if (status == SEGUE_OK)
        status = close_pages(work->missing, missing);
    if (status != SEGUE_OK) {
        const char *why = segue_reason();
        for (size_t i = 0; i < count; i++)
            end_watch((uint32_t)ids[i]);
        reason_give(status, why);
    }
    return status;
}

static size_t numbers_left(void)
{
    size_t left = 0;
    for (size_t i = 0; i < SEGUE_WATCHES_MOST; i++)
        left += !is_used[i];
    return left;
}

enum segue_status segue_watch_add(const struct segue_watch *watches, size_t count, uint64_t *ids)
{
    struct work work;
    if (!watches || !ids || !count)
        return reason_give(SEGUE_INVALID, "watches or ids is NULL, or count is 0");
    for (size_t i = 0; i < count; i++) {
        const char *wrong = misuse(&watches[i]);
        if (wrong)
            return reason_give(SEGUE_INVALID, wrong);
    }
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    if (segue_install_check(NULL) == SEGUE_NOT_FOUND)
        return reason_give(SEGUE_NOT_FOUND, "the handler is not installed: call segue_install first");
    if (count > SEGUE_WATCHES_MOST || !map_work(&work, count))
        return reason_give(SEGUE_NO_MEMORY, NULL);
    adopt_lock();
    enum segue_status status =
        prepare() && numbers_left() >= count ? add(watches, count, ids, &work) : reason_give(SEGUE_NO_MEMORY, NULL);
    adopt_unlock();
    platform_unmap(work.spans, work.size);
    return status;
}

enum segue_status segue_watch_remove(uint64_t id)
{
    if (thread_is_inside())
        return SEGUE_BUSY;
    if (id == 0 || id > SEGUE_WATCHES_MOST)
        return SEGUE_NOT_FOUND;
    adopt_lock();
    bool exists = is_used && is_used[id - 1];
    enum segue_status status = exists ? end_watch((uint32_t)id) : SEGUE_NOT_FOUND;
    adopt_unlock();
    return status;
}

enum segue_status segue_watch_counts(uint64_t id, struct segue_watch_count *counts, size_t capacity, size_t *count)
{
    if (!count || (!counts && capacity))
        return reason_give(SEGUE_INVALID, "count is NULL, or counts is NULL with a capacity");
    adopt_lock();
    bool exists = id && id <= SEGUE_WATCHES_MOST && is_used && is_used[id - 1];
    enum segue_status status = exists ? counts_list((uint32_t)id, counts, capacity, count)
                                      : reason_give(SEGUE_NOT_FOUND, "there is no watch with this id");
    adopt_unlock();
    return status;
}
