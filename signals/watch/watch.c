/* watch.c: ranges that are watched. The pages that they are in: areas.h. */
#include <segue/handler.h>
#include <segue/watch.h>

#include <string.h>

#include "adopt.h"
#include "areas.h"
#include "changes.h"
#include "decode/x86/page.h"
#include "hold.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "policy.h"
#include "signals/regions/region.h"
#include "signals/syscalls/syscalls.h"
#include "signals/threads/thread.h"
#include "signals/watch/counts/counts.h"
#include "signals/watch/files/files.h"
#include "signals/watch/index/index.h"
#include "signals/watch/index/sort.h"
#include "signals/watch/queue/queue.h"

/* The largest access by one address and one size. */
#define LARGEST 64u
#define KNOWN_FLAGS (SEGUE_WATCH_READ | SEGUE_WATCH_WRITE | SEGUE_WATCH_CHANGE | SEGUE_WATCH_COUNT | SEGUE_WATCH_WAIT)

/* All under the lock of adopt.h. */
static bool *is_used;
/* By number: what a watch has counted may be in the table. */
static bool *has_counted;
static uint32_t last_number;

static bool prepare(void)
{
    if (!is_used)
        is_used = platform_map(((size_t)SEGUE_WATCHES_MOST + PAGE) & ~(size_t)(PAGE - 1));
    if (!has_counted)
        has_counted = platform_map(((size_t)SEGUE_WATCHES_MOST + PAGE) & ~(size_t)(PAGE - 1));
    policy_begin();
    changes_begin();
    return areas_prepare() && is_used && has_counted && index_prepare() && counts_prepare() && queue_prepare();
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

bool watch_prepare(void)
{
    adopt_lock();
    const bool is_prepared = prepare();
    adopt_unlock();
    return is_prepared;
}

static uint32_t take_number(void)
{
    do
        last_number = last_number % SEGUE_WATCHES_MOST + 1;
    while (is_used[last_number - 1]);
    is_used[last_number - 1] = true;
    return last_number;
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
    sort(spans, count, sizeof *spans, compare_spans);
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
        for (unsigned area = areas_behind(at); at < spans[i].end; area++) {
            bool is_last = area == areas_count() || areas_at(area)->pages.at >= spans[i].end;
            uint64_t end = is_last ? spans[i].end : areas_at(area)->pages.at;
            if (at < end && found++ < most)
                missing[found - 1] = (struct adopted){.pages = {.at = at, .size = end - at}};
            at = is_last ? end : areas_at(area)->pages.at + areas_at(area)->pages.size;
        }
    }
    return found;
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
    unsigned at = areas_behind(range->start > LARGEST ? range->start - LARGEST : 0);
    while (at < areas_count() && areas_at(at)->pages.at < range->end) {
        struct span part = part_in(areas_at(at), range->start, range->end);
        index_unmark(part.start, part.end, areas_marks(areas_at(at)));
        if (is_watched(areas_at(at))) {
            at++;
            continue;
        }
        enum segue_status given = areas_give_back(at);
        status = status == SEGUE_OK ? given : status;
    }
    return status;
}

/* Of a number that is used. It has several ranges, or none, if the program has taken pages away. */
static enum segue_status end_watch(uint32_t number)
{
    struct watch_range range;
    enum segue_status status = SEGUE_OK;
    for (bool was = true; was;) {
        uint64_t before = platform_asynchronous_hold();
        was = index_take(number, &range);
        platform_signals_release(before);
        enum segue_status given = was ? unmark(&range) : SEGUE_OK;
        status = status == SEGUE_OK ? given : status;
    }
    is_used[number - 1] = false;
    return status;
}

/* ---- adding ---- */

static void mark(const struct segue_watch *watch)
{
    const uint64_t start = (uint64_t)(uintptr_t)watch->address, end = start + watch->size;
    for (unsigned i = areas_behind(start > LARGEST ? start - LARGEST : 0);
         i < areas_count() && areas_at(i)->pages.at < end; i++) {
        struct span part = part_in(areas_at(i), start, end);
        index_mark(part.start, part.end, areas_marks(areas_at(i)));
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
        for (unsigned area = areas_behind(work->spans[i].start);
             area < areas_count() && areas_at(area)->pages.at < work->spans[i].end && status == SEGUE_OK; area++) {
            const struct segue_region region = areas_region(areas_at(area));
            if (!is_new(areas_at(area), work->missing, made))
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

/* What it has counted is forgotten. */
static void begin_counts(uint32_t number, uint32_t flags)
{
    bool *counted = &has_counted[number - 1];
    if (*counted)
        counts_clear(number);
    *counted = flags & SEGUE_WATCH_COUNT;
}

/* `is_again`: the ranges have numbers. */
static void take_ranges(const struct segue_watch *watches, size_t count, struct watch_range *ranges, uint64_t *ids,
                        bool is_again)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t start = (uint64_t)(uintptr_t)watches[i].address;
        const uint32_t number = is_again ? (uint32_t)ids[i] : take_number();
        ranges[i] = (struct watch_range){start,  start + watches[i].size, watches[i].thread,
                                         number, watches[i].flags,        WATCH_ORIGIN(&watches[i])};
        if (is_again)
            continue;
        ids[i] = number;
        begin_counts(number, watches[i].flags);
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

/* Takes out again what has just been added. */
static void retract(const struct segue_watch *watches, size_t count, const uint64_t *ids, bool is_again)
{
    for (size_t i = 0; i < count; i++)
        if (!is_again)
            end_watch((uint32_t)ids[i]);
        else
            watch_forget((uint64_t)(uintptr_t)watches[i].address, watches[i].size, NULL);
}

static enum segue_status add(const struct segue_watch *watches, size_t count, uint64_t *ids, struct work *work,
                             bool is_again)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t start = (uint64_t)(uintptr_t)watches[i].address;
        work->spans[i] = (struct span){start & -(uint64_t)PAGE, (start + watches[i].size + PAGE - 1) & -(uint64_t)PAGE};
    }
    const size_t spans = join_spans(work->spans, count);
    const size_t missing = find_missing(work->spans, spans, work->missing, 2 * count);
    if (missing > 2 * count || areas_count() + missing > AREAS_MOST)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    enum segue_status status = areas_make(work->missing, (unsigned)missing);
    if (status != SEGUE_OK)
        return status;
    uint64_t before = platform_asynchronous_hold();
    for (size_t i = 0; i < missing; i++)
        areas_insert(&work->missing[i]);
    take_ranges(watches, count, work->ranges, ids, is_again);
    index_insert(work->ranges, (unsigned)count);
    for (size_t i = 0; i < count; i++)
        mark(&watches[i]);
    platform_signals_release(before);
    status = mark_anew(work, spans, missing);
    if (status == SEGUE_OK)
        status = close_pages(work->missing, missing);
    if (status != SEGUE_OK) {
        const char *why = segue_reason();
        retract(watches, count, ids, is_again);
        reason_give(status, why);
    }
    return status;
}

size_t watch_count_in(uint64_t start, uint64_t size)
{
    return index_count_in(start, start + size);
}

bool watch_forget(uint64_t start, uint64_t size, struct watch_range *cut)
{
    const size_t count = index_count_in(start, start + size);
    if (!count)
        return true;
    const size_t bytes = (count * 3 * sizeof(struct watch_range) + PAGE - 1) & ~(size_t)(PAGE - 1);
    struct watch_range *room = platform_map(bytes);
    if (!room)
        return false;
    uint64_t before = platform_asynchronous_hold();
    index_cut(start, start + size, room, room + count);
    platform_signals_release(before);
    if (cut)
        memcpy(cut, room, count * sizeof *cut);
    for (size_t i = 0; i < count; i++)
        unmark(&room[i]);
    platform_unmap(room, bytes);
    return true;
}

enum segue_status watch_again(const struct segue_watch *watches, size_t count, uint64_t *ids)
{
    struct work work;
    if (!map_work(&work, count))
        return SEGUE_NO_MEMORY;
    enum segue_status status = add(watches, count, ids, &work, true);
    platform_unmap(work.spans, work.size);
    return status;
}

static size_t numbers_left(void)
{
    size_t left = 0;
    for (size_t i = 0; i < SEGUE_WATCHES_MOST; i++)
        left += !is_used[i];
    return left;
}

uint32_t watch_without_range(uint32_t flags)
{
    uint32_t number = 0;
    adopt_lock();
    if (prepare() && numbers_left()) {
        number = take_number();
        begin_counts(number, flags);
    }
    adopt_unlock();
    return number;
}

/* ---- files ---- */

/* The list of mappings, which changes while they are watched. */
#define MAPPINGS_MOST 65536u

static void watch_mappings(struct mapping *found)
{
    char piece[PAGE];
    struct mappings list;
    size_t count = 0;
    if (!mappings_open(&list, piece, sizeof piece))
        return;
    while (count < MAPPINGS_MOST && mappings_next(&list, &found[count]))
        count += found[count].file != 0;
    mappings_close(&list);
    for (size_t i = 0; i < count; i++)
        changes_watch_files(&found[i], NULL);
}

/* Calls that are being made are seen when they are done: all threads are interrupted. */
static enum segue_status begin_files(struct watched_file *files, size_t count)
{
    struct held held;
    struct mapping *found = platform_map(MAPPINGS_MOST * sizeof *found);
    if (!found)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    files_follow(files, count);
    calls_look_anew();
    const enum segue_status status = hold_all(&held);
    if (status == SEGUE_OK) {
        hold_end(&held);
        watch_mappings(found);
    } else {
        files_follow(NULL, 0);
    }
    platform_unmap(found, MAPPINGS_MOST * sizeof *found);
    return status;
}

enum segue_status watch_files(struct watched_file *files, size_t count, uint64_t *ids)
{
    if (!syscalls_are_caught())
        return reason_give(SEGUE_UNSUPPORTED, "a file's mappings are seen by system calls, which are not caught here");
    adopt_lock();
    enum segue_status status = prepare() && numbers_left() >= count ? SEGUE_OK : reason_give(SEGUE_NO_MEMORY, NULL);
    for (size_t i = 0; status == SEGUE_OK && i < count; i++) {
        ids[i] = files[i].number = take_number();
        begin_counts(files[i].number, files[i].flags);
    }
    if (status == SEGUE_OK)
        status = begin_files(files, count);
    adopt_unlock();
    return status;
}

void watch_no_files(void)
{
    adopt_lock();
    files_follow(NULL, 0);
    adopt_unlock();
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
    enum segue_status status = prepare() && numbers_left() >= count ? add(watches, count, ids, &work, false)
                                                                    : reason_give(SEGUE_NO_MEMORY, NULL);
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
