/* changes.c: see changes.h.
 *
 *   a protection          is set of the kept mapping and of the second view; the pages stay closed
 *   advice, locks         are given to the kept mapping
 *   contents dropped      of the kept mapping; the second view then shows what it shows
 *   anything else         the pages become the kept mapping again, and the call is made; what has moved is watched
 * where it is, and what the call has left alone, where it was
 *
 * All runs in place of the call, in no handler (platform/calls/calls.h); the thread may hold any lock of the C library:
 * nothing here allocates from it. */
#include "changes.h"

#include <stddef.h>
#include <string.h>

#include "areas.h"
#include "decode/x86/page.h"
#include "platform/calls/calls.h"
#include "platform/clock.h"
#include "platform/error_number.h"
#include "platform/memory/memory.h"
#include "platform/threads/thread.h"
#include "signals/syscalls/change/change.h"
#include "signals/threads/thread.h"
#include "signals/watch/files/files.h"
#include "signals/watch/loaded/loaded.h"
#include "signals/watch/queue/gate.h"
#include "signals/watch/queue/queue.h"

/* Of the shared library. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _etext[] __attribute__((visibility("hidden")));

/* ---- calls that leave the pages where they are ---- */

static long change_area(const struct system_call *call, const struct memory_change *change, const struct adoption *part)
{
    long result = calls_change_range(call, part->kept, part->kept + part->size);
    if (result == 0 && change->kind == MEMORY_PROTECTED)
        result = platform_protect(part->alias, part->size, change->protection);
    if (result == 0 && change->kind == MEMORY_DROPPED)
        result = platform_adopt_refresh(part);
    return result;
}

/* The part of the range that begins at `at`: in an area, or not. */
static long change_part(const struct system_call *call, const struct memory_change *change, uint64_t at, uint64_t *end)
{
    const unsigned number = areas_behind(at);
    const struct adopted *area = number < areas_count() ? areas_at(number) : NULL;
    const uint64_t start = area ? area->pages.at : UINT64_MAX;
    if (at < start) {
        *end = *end < start ? *end : start;
        return calls_change_range(call, at, *end);
    }
    const uint64_t last = start + area->pages.size, offset = at - start;
    *end = *end < last ? *end : last;
    const struct adoption part = {
        .at = at, .size = *end - at, .alias = area->pages.alias + offset, .kept = area->pages.kept + offset};
    return change_area(call, change, &part);
}

/* As the system does: from the lowest address on, up to a failure. */
static long change_in_place(const struct system_call *call, const struct memory_change *change)
{
    long first = 0;
    for (uint64_t at = change->start, end; at < change->end; at = end) {
        end = change->end;
        long result = change_part(call, change, at, &end);
        first = first == 0 ? result : first;
        if (result != 0 && !(change->passes_holes && result == CALLS_NO_MEMORY))
            break;
    }
    return first;
}

/* ---- calls that end watches ---- */

/* What was watched in a range of addresses that a call changes. */
struct taken {
    struct watch_range *ranges;
    size_t count, size;
};

/* Ranges to be watched again, and their numbers. */
struct again {
    struct segue_watch *watches;
    uint64_t *ids;
};

static void report(const struct watch_range *range, const struct system_call *call, unsigned kind, uint64_t to)
{
    struct segue_watch_record record = {
        .id = range->number,
        .time = platform_clock(),
        .address = range->start,
        .size = range->end - range->start,
        .site = call->instruction,
        .thread = segue_thread_self(),
        .process = (uint32_t)platform_process_id(),
        .kind = (uint8_t)kind,
        .system_call = (int32_t)call->number,
        .moved_to = to,
    };
    if (range->flags & WATCH_OF_FILE)
        memcpy(record.before, &(uint64_t){range->start - range->origin}, sizeof range->origin);
    gate_begin();
    queue_put(&record, NULL, NULL, range->flags & SEGUE_WATCH_WAIT);
    gate_end();
}

/* The pages become the kept mapping again, and are watched no more. */
static bool take(uint64_t start, uint64_t end, struct taken *taken)
{
    *taken = (struct taken){.ranges = NULL};
    if (start >= end)
        return true;
    const size_t count = watch_count_in(start, end - start);
    const size_t size = (count * sizeof *taken->ranges + PAGE) & ~(size_t)(PAGE - 1);
    struct watch_range *ranges = platform_map(size);
    if (!ranges)
        return false;
    *taken = (struct taken){ranges, count, size};
    return areas_cut(start, end) == SEGUE_OK && watch_forget(start, end - start, ranges);
}

/* What of a range is watched again: its part in front of `last`, at so many bytes from where it was. */
static size_t list_again(const struct taken *taken, uint64_t last, uint64_t distance, struct again *list)
{
    size_t count = 0;
    for (size_t i = 0; i < taken->count; i++) {
        const struct watch_range *range = &taken->ranges[i];
        const uint64_t end = range->end < last ? range->end : last;
        if (range->start >= end)
            continue;
        list->ids[count] = range->number;
        list->watches[count++] = (struct segue_watch){.address = (const void *)(uintptr_t)(range->start + distance),
                                                      .size = end - range->start,
                                                      .flags = range->flags,
                                                      .thread = range->thread,
                                                      .reserved = {range->origin + distance}};
    }
    return count;
}

static void report_parts(const struct taken *taken, const struct system_call *call, uint64_t last, uint64_t distance)
{
    for (size_t i = 0; i < taken->count; i++) {
        struct watch_range stays = taken->ranges[i], goes = stays;
        stays.end = stays.end < last ? stays.end : last;
        goes.start = goes.start > last ? goes.start : last;
        if (distance && stays.start < stays.end)
            report(&stays, call, SEGUE_WATCH_MOVED, stays.start + distance);
        if (goes.start < goes.end)
            report(&goes, call, SEGUE_WATCH_ENDED, 0);
    }
}

/* Watches again, all at once, what has `moved` bytes at most from `start` on; reports what it does not. */
static void give(const struct taken *taken, const struct system_call *call, uint64_t start, uint64_t moved,
                 uint64_t distance)
{
    const uint64_t last = moved > UINT64_MAX - start ? UINT64_MAX : start + moved;
    const size_t each = sizeof(struct segue_watch) + sizeof(uint64_t);
    const size_t size = (taken->count * each + PAGE) & ~(size_t)(PAGE - 1);
    struct again list = {.watches = moved && taken->count ? platform_map(size) : NULL};
    bool is_watched = false;
    if (list.watches) {
        list.ids = (uint64_t *)(void *)(list.watches + taken->count);
        const size_t count = list_again(taken, last, distance, &list);
        is_watched = !count || watch_again(list.watches, count, list.ids) == SEGUE_OK;
        platform_unmap(list.watches, size);
    }
    report_parts(taken, call, is_watched ? last : start, distance);
}

static void let_go(const struct taken *taken)
{
    if (taken->ranges)
        platform_unmap(taken->ranges, taken->size);
}

static long replace(const struct system_call *call, const struct memory_change *change)
{
    struct taken first, second;
    bool is_taken = take(change->start, change->end, &first);
    is_taken = take(change->second_start, change->second_end, &second) && is_taken;
    const long result = is_taken ? calls_change(call) : CALLS_NO_MEMORY;
    if (!is_taken || calls_change_failed(call, result)) {
        give(&first, call, change->start, is_taken ? UINT64_MAX : 0, 0);
        give(&second, call, change->second_start, is_taken ? UINT64_MAX : 0, 0);
    } else if (change->stays) {
        give(&first, call, change->start, UINT64_MAX, 0);
        give(&second, call, change->second_start, 0, 0);
    } else {
        give(&first, call, change->start, change->moved, change->moved ? (uint64_t)result - change->start : 0);
        give(&second, call, change->second_start, 0, 0);
    }
    let_go(&first);
    let_go(&second);
    return result;
}

/* ---- calls that map a file ---- */

/* Also in a handler. */
static void note_refusal(const struct watched_file *file, const char *why)
{
    struct file_found *found = file->found;
    uint32_t none = 0;
    __atomic_fetch_add(&found->refused, 1, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&found->has_reason, &none, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        for (size_t i = 0; i + 1 < sizeof found->reason && why[i]; i++)
            found->reason[i] = why[i];
}

static void miss(const struct system_call *call)
{
    if (loaded_are_followed() && calls_maps_code(call))
        loaded_miss();
    files_each_of(calls_mapped_file(call), note_refusal, "the thread that mapped it had too little of its stack left");
}

static void watch_part(void *call, const struct watched_file *file, uint64_t at, uint64_t size, uint64_t offset)
{
    const uint32_t flags = file->flags | WATCH_OF_FILE;
    const struct segue_watch watch = {
        .address = (const void *)(uintptr_t)at, .size = size, .flags = flags, .reserved = {at - offset}};
    uint64_t id = file->number;
    if (watch_again(&watch, 1, &id) != SEGUE_OK) {
        note_refusal(file, segue_reason());
        return;
    }
    __atomic_fetch_add(&file->found->watched, 1, __ATOMIC_RELAXED);
    const struct watch_range range = {at, at + size, 0, file->number, flags, at - offset};
    if (call)
        report(&range, call, WATCH_MAPPED, at);
}

void changes_watch_files(const struct mapping *mapping, const struct system_call *call)
{
    files_look(mapping, watch_part, (void *)(uintptr_t)call);
}

/* Not of the library's own calls, which it makes in handlers and under its locks. */
static SEGUE_HOT_POLICY bool is_programs(const struct system_call *call)
{
    const uint64_t start = (uint64_t)(uintptr_t)__ehdr_start, end = (uint64_t)(uintptr_t)_etext;
    return call->instruction - start >= end - start;
}

static SEGUE_HOT_POLICY bool follows(const struct system_call *call)
{
    return ((files_are_followed() && calls_maps_file(call)) || (loaded_are_followed() && calls_maps_code(call))) &&
           is_programs(call);
}

/* What a call has mapped. */
static void look_at_mapped(const struct system_call *call, uint64_t start, uint64_t size)
{
    struct mapping mapping;
    if (loaded_are_followed() && calls_maps_code(call))
        loaded_note(start, size);
    if (!files_are_followed())
        return;
    for (uint64_t at = start, end = start + size; at < end; at = mapping.end) {
        if (!mappings_find(at, &mapping)) {
            files_each_of(calls_mapped_file(call), note_refusal, "the list of mappings could not be read (/proc)");
            return;
        }
        if (mapping.end > end)
            mapping.end = end;
        if (mapping.start < start) {
            mapping.offset += start - mapping.start;
            mapping.start = start;
        }
        changes_watch_files(&mapping, call);
    }
}

/* ---- in place of a call ---- */

static long make(const struct system_call *call)
{
    struct memory_change change;
    const int kept = error_number_get();
    const bool changes = calls_changes_memory(call, &change);
    const uint64_t mapped = follows(call) ? calls_maps_file(call) : 0;
    if (!changes && !mapped)
        return calls_change(call);
    if (thread_is_inside())
        return changes ? CALLS_NO_MEMORY : calls_change(call);
    const uint64_t mask = adopt_begin();
    const long result = !changes                         ? calls_change(call)
                        : change.kind == MEMORY_REPLACED ? replace(call, &change)
                                                         : change_in_place(call, &change);
    if (mapped && !calls_change_failed(call, result))
        look_at_mapped(call, (uint64_t)result, mapped);
    adopt_end(mask);
    error_number_set(kept);
    return result;
}

void changes_begin(void)
{
    static const struct memory_changer changer = {adopt_is_locked_here, follows, miss, make};
    change_follow(&changer);
}
