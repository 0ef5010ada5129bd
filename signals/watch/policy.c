/* policy.c: see policy.h.
 *
 * At a hot site, bodies ask only about accesses that may touch a watched byte. One that only counts is counted, and
 * made at the second view; any other faults, and is stepped on copies, so that its values are exact. */
#include "policy.h"

#include "platform/clock.h"
#include "platform/threads/thread.h"
#include "signals/syscalls/follow.h"
#include "signals/watch/blocks/blocks.h"
#include "signals/watch/counts/counts.h"
#include "signals/watch/index/index.h"
#include "signals/watch/queue/gate.h"
#include "signals/watch/queue/queue.h"

/* The most ranges that one access counts for without a fault. */
#define COUNTED_MOST 4u
#define VALUE_BYTES 32u
/* The most ranges that are copied at once. */
#define BATCH 8u

SEGUE_HOT_POLICY enum segue_verdict policy_of_site(void *context, const struct segue_hot_event *event)
{
    const struct watch_access access = {event->address, event->size, event->thread, event->direction};
    struct watch_range ranges[COUNTED_MOST];
    unsigned found;
    (void)context;
    if (!index_look(&access, ranges, COUNTED_MOST, &found))
        return SEGUE_RETRY;
    for (unsigned i = 0; i < found; i++)
        if (!(ranges[i].flags & SEGUE_WATCH_COUNT) || (ranges[i].flags & SEGUE_WATCH_CHANGE))
            return SEGUE_RETRY;
    for (unsigned i = 0; i < found; i++)
        counts_add(ranges[i].number, event->site, event->direction);
    return SEGUE_STEP;
}

/* In a pool. The access touches one block, nearly always. */
SEGUE_HOT_POLICY enum segue_verdict policy_of_pool(void *context, const struct segue_hot_event *event)
{
    const struct watch_access access = {event->address, event->size, event->thread, event->direction};
    struct watch_range range;
    (void)context;
    switch (blocks_look(&access, &range)) {
    case BLOCK_NONE:
        return SEGUE_STEP;
    case BLOCK_ONE:
        if (!(range.flags & SEGUE_WATCH_COUNT) || (range.flags & SEGUE_WATCH_CHANGE))
            return SEGUE_RETRY;
        counts_add(range.number, event->site, event->direction);
        return SEGUE_STEP;
    default:
        return SEGUE_RETRY;
    }
}

/* ---- reports ---- */

/* Who makes the accesses. */
struct maker {
    /* Of the instruction. */
    uint64_t site;
    segue_thread_id thread;
    /* Or SEGUE_NO_SYSTEM_CALL. */
    int32_t system_call;
    /* Before the access; of a system call, behind it. */
    const struct segue_regs *regs;
};

/* The process whose memory is watched. */
static uint32_t owner;

static void copy_value(unsigned char *to, const unsigned char *from, uint64_t size)
{
    for (uint64_t i = 0; i < size && i < VALUE_BYTES; i++)
        to[i] = from[i];
}

static bool differ(const unsigned char *one, const unsigned char *other, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        if (one[i] != other[i])
            return true;
    return false;
}

/* A part of an access, with its bytes before and after; both NULL if they are not known. */
struct part {
    uint64_t address, size;
    uint8_t direction;
    const unsigned char *before, *after;
};

/* The write changes nothing, and only a change is wanted. */
static bool is_no_change(const struct watch_range *range, const struct part *part)
{
    if (!(range->flags & SEGUE_WATCH_CHANGE) || (range->flags & SEGUE_WATCH_WRITE) || !part->before)
        return false;
    if ((range->flags & SEGUE_WATCH_READ) && (part->direction & SEGUE_READ))
        return false;
    return !differ(part->before, part->after, part->size);
}

/* `block`: the range is one; else NULL. */
static void report_part(const struct watch_range *range, const struct queue_block *block, const struct part *part,
                        const struct maker *maker)
{
    if (is_no_change(range, part))
        return;
    if (range->flags & SEGUE_WATCH_COUNT) {
        counts_add(range->number, maker->site, part->direction);
        return;
    }
    const uint32_t process = (uint32_t)platform_process_id();
    struct segue_watch_record record = {
        .id = range->number,
        .time = platform_clock(),
        .address = part->address,
        .size = part->size,
        .site = maker->site,
        /* A child that shares its parent's memory may share its thread pointer, too, and so what names the thread. */
        .thread = process == owner ? maker->thread : (segue_thread_id)platform_thread_id(),
        .process = process,
        .direction = part->direction,
        .has_values = part->before != NULL,
        .system_call = maker->system_call,
        .moved_to = range->flags & WATCH_OF_FILE ? part->address - range->origin : 0,
    };
    if (part->before) {
        copy_value(record.before, part->before, part->size);
        copy_value(record.after, part->after, part->size);
    }
    gate_begin();
    queue_put(&record, block, maker->regs, range->flags & SEGUE_WATCH_WAIT);
    gate_end();
}

/* The part of the access that is in the range. */
static void report_in(const struct watch_range *range, const struct queue_block *block, const struct part *whole,
                      const struct maker *maker)
{
    const uint64_t end = whole->address + whole->size;
    struct part part = *whole;
    if (part.address < range->start)
        part.address = range->start;
    part.size = (end < range->end ? end : range->end) - part.address;
    if (whole->before && whole->after) {
        part.before = whole->before + (part.address - whole->address);
        part.after = whole->after + (part.address - whole->address);
    } else {
        part.before = part.after = NULL;
    }
    report_part(range, block, &part, maker);
}

/* In each range that wants to know of it. */
static void report(const struct part *whole, const struct maker *maker)
{
    const struct watch_access access = {whole->address, whole->size, maker->thread, whole->direction};
    size_t at = 0;
    unsigned count;
    /* Not while the index is held: whoever reads the queue may want to change it. */
    do {
        struct watch_range ranges[BATCH];
        const struct watch_range *range;
        count = 0;
        index_hold();
        while (count < BATCH && (range = index_next(&access, &at)) != NULL)
            ranges[count++] = *range;
        index_let_go();
        for (unsigned i = 0; i < count; i++)
            report_in(&ranges[i], NULL, whole, maker);
    } while (count == BATCH);
    struct block_seen seen;
    for (uint64_t next = whole->address; blocks_next(&access, &next, &seen);)
        report_in(&seen.range, &seen.shown, whole, maker);
}

static bool is_wanted(uint64_t address, uint64_t size, uint8_t direction, segue_thread_id thread)
{
    const struct watch_access access = {address, size, thread, direction};
    struct block_seen seen;
    size_t at = 0;
    index_hold();
    bool is = index_next(&access, &at) != NULL;
    index_let_go();
    return is || blocks_next(&access, &(uint64_t){address}, &seen);
}

/* ---- in a fault ---- */

static void visit(void *context, const struct segue_value *value)
{
    const struct part whole = {value->address, value->size, value->direction, value->before, value->after};
    report(&whole, context);
}

enum segue_verdict policy_of_fault(void *context, const struct segue_event *event)
{
    /* The step changes the registers. */
    const struct segue_regs regs = *event->regs;
    struct maker maker = {regs.rip, event->thread, SEGUE_NO_SYSTEM_CALL, &regs};
    (void)context;
    if (event->system_call != SEGUE_NO_SYSTEM_CALL || event->can_step != SEGUE_OK ||
        !is_wanted(event->address, event->size, event->direction, event->thread))
        return SEGUE_STEP;
    const struct part unknown = {event->address, event->size, event->direction, NULL, NULL};
    switch (segue_event_step(event, visit, &maker)) {
    case SEGUE_OK:
        return SEGUE_DONE;
    case SEGUE_FAULT:
        return SEGUE_PASS;
    case SEGUE_UNSUPPORTED:
        /* The access is made by a step that shows no values. */
        report(&unknown, &maker);
        return SEGUE_STEP;
    default:
        return SEGUE_STEP;
    }
}

/* ---- system calls ---- */

static void call_is_done(const struct call_done *done)
{
    const struct part whole = {done->address, done->size, done->direction, done->before, done->after};
    const struct maker maker = {done->site, done->thread, done->system_call, done->regs};
    report(&whole, &maker);
}

void policy_begin(void)
{
    static const struct call_follower follower = {is_wanted, call_is_done};
    owner = (uint32_t)platform_process_id();
    platform_clock_prepare();
    follow_calls(&follower);
}

void policy_in_child(void)
{
    owner = (uint32_t)platform_process_id();
}
