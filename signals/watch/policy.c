/* policy.c: see policy.h.
 *
 * At a hot site, bodies ask only about accesses that may touch a watched byte. One that only counts is counted, and
 * made at the second view; any other faults, and is stepped on copies, so that its values are exact. */
#include "policy.h"

#include "index.h"
#include "platform/clock.h"
#include "platform/threads/thread.h"
#include "signals/watch/counts/counts.h"
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

/* ---- in a fault ---- */

struct stepped {
    const struct segue_event *event;
    /* The instruction's address: the step changes the registers. */
    uint64_t site;
    /* Of its accesses' values: those that there are. */
    bool has_values;
};

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

/* Only what the range's watch wants of an access that touches it. */
static void report(const struct watch_range *range, const struct segue_value *value, const struct stepped *stepped)
{
    const uint64_t end = value->address + value->size;
    const uint64_t from = value->address > range->start ? value->address : range->start;
    const uint64_t size = (end < range->end ? end : range->end) - from;
    const unsigned char *before = value->before, *after = value->after;
    const bool has_values = stepped->has_values && before && after;
    if (has_values && (range->flags & SEGUE_WATCH_CHANGE) && !(range->flags & SEGUE_WATCH_WRITE) &&
        !((range->flags & SEGUE_WATCH_READ) && (value->direction & SEGUE_READ)) &&
        !differ(before + (from - value->address), after + (from - value->address), size))
        return;
    if (range->flags & SEGUE_WATCH_COUNT) {
        counts_add(range->number, stepped->site, value->direction);
        return;
    }
    struct segue_watch_record record = {
        .id = range->number,
        .time = platform_clock(),
        .address = from,
        .size = size,
        .site = stepped->site,
        .thread = stepped->event->thread,
        .process = (uint32_t)platform_process_id(),
        .direction = value->direction,
        .has_values = has_values,
    };
    if (has_values) {
        copy_value(record.before, before + (from - value->address), size);
        copy_value(record.after, after + (from - value->address), size);
    }
    queue_put(&record, range->flags & SEGUE_WATCH_WAIT);
}

static void visit(void *context, const struct segue_value *value)
{
    const struct stepped *stepped = context;
    const struct watch_access access = {value->address, value->size, stepped->event->thread, value->direction};
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
            report(&ranges[i], value, stepped);
    } while (count == BATCH);
}

static bool is_wanted(const struct segue_event *event)
{
    const struct watch_access access = {event->address, event->size, event->thread, event->direction};
    size_t at = 0;
    index_hold();
    bool is = index_next(&access, &at) != NULL;
    index_let_go();
    return is;
}

/* The access is made by a step that shows no values. */
static void report_alone(const struct segue_event *event)
{
    struct stepped stepped = {.event = event, .site = event->regs->rip};
    const struct segue_value value = {
        .address = event->address, .size = (uint32_t)event->size, .direction = event->direction};
    visit(&stepped, &value);
}

enum segue_verdict policy_of_fault(void *context, const struct segue_event *event)
{
    struct stepped stepped = {event, event->regs->rip, true};
    (void)context;
    if (event->can_step != SEGUE_OK || !is_wanted(event))
        return SEGUE_STEP;
    switch (segue_event_step(event, visit, &stepped)) {
    case SEGUE_OK:
        return SEGUE_DONE;
    case SEGUE_FAULT:
        return SEGUE_PASS;
    case SEGUE_UNSUPPORTED:
        report_alone(event);
        return SEGUE_STEP;
    default:
        return SEGUE_STEP;
    }
}
