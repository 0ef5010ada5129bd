/* pending.c: see pending.h. */
#include "pending.h"

void pending_give(struct pending *pending)
{
    follow_release(pending->followed);
    if (pending->bounces)
        calls_unmap(pending->bounces, pending->bounces_size);
    calls_unmap(pending, pending->size);
}

void pending_look_again(struct native_frame native)
{
    const struct call_record *record = calls_about_to_make(native);
    struct pending *pending = record ? (struct pending *)(uintptr_t)record->finish : NULL;
    if (record)
        calls_begin_again(native);
    else
        calls_leave_gate(native);
    if (pending)
        pending_give(pending);
}
