/* mutator.c: the generic variant of mutator.h, in plain C, for platforms without memory protection or for unknown
 * ones. It has no faults, cannot decode a context, and knows one thread only, so no thread is ever suspended.
 *
 * It fits a collector that protects nothing and scans the calling thread's stack by its own means.
 *
 * SOURCES: MPS design/prmc .impl.an, design/prot .impl.an, design/thread-manager .impl.an. */
#include <segue/suspend.h>

bool segue_in_fault(void)
{
    return false;
}

enum segue_status segue_mutator_from_frame(struct segue_mutator *context, const struct segue_frame *frame)
{
    return frame && context ? SEGUE_UNSUPPORTED : SEGUE_INVALID;
}

enum segue_status segue_mutator_from_event(const struct segue_event *event, struct segue_mutator *context)
{
    return event && context ? SEGUE_UNSUPPORTED : SEGUE_INVALID;
}

size_t segue_xstate_size(uint64_t features)
{
    (void)features;
    return 0;
}

enum segue_status segue_mutator_capture(struct segue_mutator *context, void *area, size_t area_size)
{
    (void)area_size;
    return context && !area ? SEGUE_UNSUPPORTED : SEGUE_INVALID;
}

/* This variant never fills in a context, so there is nothing to check. */
enum segue_status segue_mutator_check(const struct segue_mutator *context)
{
    (void)context;
    return SEGUE_INVALID;
}

uint64_t segue_mutator_sp(const struct segue_mutator *context)
{
    (void)context;
    return 0;
}

int segue_mutator_scan(const struct segue_mutator *context, segue_scan_words *scan, void *closure)
{
    (void)context;
    (void)scan;
    (void)closure;
    return 0;
}

int segue_mutator_update(struct segue_mutator *context, segue_update_words *update, void *closure)
{
    (void)context;
    (void)update;
    (void)closure;
    return -1;
}

enum segue_status segue_mutator_write(struct segue_mutator *context)
{
    return context ? SEGUE_UNSUPPORTED : SEGUE_INVALID;
}

enum segue_status segue_frame_plan(const struct segue_frame *frame, const struct segue_window *windows,
                                   size_t window_count, struct segue_plan *plan)
{
    (void)windows;
    (void)window_count;
    if (!frame || !plan)
        return SEGUE_INVALID;
    *plan = (struct segue_plan){.refusal = "nothing can be decoded on this platform"};
    return SEGUE_UNSUPPORTED;
}

enum segue_status segue_frame_plan_in(const struct segue_frame *frame, const struct segue_window *windows,
                                      size_t window_count, void *memory, size_t size, const struct segue_plan **plan)
{
    (void)windows;
    (void)window_count;
    (void)memory;
    (void)size;
    if (!plan)
        return SEGUE_INVALID;
    *plan = NULL;
    return frame ? SEGUE_UNSUPPORTED : SEGUE_INVALID;
}

enum segue_status segue_frame_step(struct segue_frame *frame, const struct segue_plan *plan)
{
    return frame && plan ? SEGUE_UNSUPPORTED : SEGUE_INVALID;
}
