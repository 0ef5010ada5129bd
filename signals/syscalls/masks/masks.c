/* masks.c: see masks.h. */
#include "masks.h"

#include "platform/calls/calls.h"
#include "platform/threads/thread.h"
#include "signals/syscalls/pending.h"
#include "signals/threads/knock.h"
#include "signals/threads/thread.h"

static struct opened_mask *list;
static size_t list_count;
static uint64_t never_removed;

void masks_close(struct opened_mask *opened, size_t count, uint64_t never)
{
    list_count = 0;
    never_removed = never;
    list = opened;
    __atomic_store_n(&list_count, count, __ATOMIC_RELEASE);
}

void masks_ask(struct opened_mask *opened)
{
    __atomic_store_n(&opened->state, OPENED_WAITS, __ATOMIC_RELEASE);
    /* At an earlier knock it may have answered meanwhile. */
    uint32_t waits = OPENED_WAITS;
    if (!knock_send(opened->thread))
        __atomic_compare_exchange_n(&opened->state, &waits, OPENED_NOT_NOW, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* A call that was made with other arguments begins again. False if it is about to end: that takes a trap. */
static bool leave_call(struct native_frame native)
{
    const struct call_record *record = calls_interrupted(native);
    if (!record)
        return !code_is_within(frame_instruction(native.context), calls_make_range.begin, calls_make_range.end);
    struct pending *pending = (struct pending *)(uintptr_t)record->finish;
    calls_begin_again(native);
    if (pending)
        pending_give(pending);
    return true;
}

/* With SIGSYS blocked the thread would die at a call that is caught. */
static enum opened_state close_mask(struct native_frame native, const struct opened_mask *opened)
{
    const uint64_t mask = frame_get_mask(native.context);
    if ((mask & never_removed) != opened->rest)
        return OPENED_HAS_CHANGED;
    if (!leave_call(native))
        return OPENED_NOT_NOW;
    calls_disarm();
    frame_set_mask(native.context, mask | opened->removed);
    return OPENED_IS_CLOSED;
}

void masks_answer(struct native_frame native)
{
    const int32_t number = thread_number();
    const size_t count = __atomic_load_n(&list_count, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < count; i++)
        if (list[i].thread == number && __atomic_load_n(&list[i].state, __ATOMIC_ACQUIRE) == OPENED_WAITS)
            __atomic_store_n(&list[i].state, close_mask(native, &list[i]), __ATOMIC_RELEASE);
}
