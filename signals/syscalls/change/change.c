/* change.c: see change.h. */
#include "change.h"

#include <segue/handler.h>
#include <segue/region.h>

#include "decode/x86/page.h"
#include "emulate/windows/guard.h"
#include "platform/memory/memory.h"
#include "platform/threads/thread.h"
#include "signals/regions/region.h"
#include "signals/syscalls/space.h"

static const struct memory_changer *changer;

void change_follow(const struct memory_changer *by)
{
    __atomic_store_n(&changer, by, __ATOMIC_RELEASE);
}

static SEGUE_HOT_POLICY bool changes_region(const struct system_call *call)
{
    struct memory_change change;
    return region_count() != 0 && calls_changes_memory(call, &change) &&
           ((change.start < change.end && space_has_region(change.start, change.end - change.start)) ||
            (change.second_start < change.second_end &&
             space_has_region(change.second_start, change.second_end - change.second_start)));
}

SEGUE_HOT_POLICY bool change_is_wanted(const struct system_call *call)
{
    const struct memory_changer *by = __atomic_load_n(&changer, __ATOMIC_ACQUIRE);
    return by && (changes_region(call) || by->follows(call)) && !by->is_own();
}

/* A probe that faults needs room for one more frame on this stack, which has been looked at down to `seen`; the first
 * thread's stack grows by such a fault. */
static bool is_writable(uint64_t at, uint64_t seen, bool grows)
{
    const uint64_t room = (uint64_t)(uintptr_t)__builtin_frame_address(0) - (seen & -(uint64_t)PAGE);
    uint8_t byte;
    if (!grows && room < segue_handler_stack() && platform_look_at(at, &byte, 1) == PLATFORM_NOT_THERE)
        return false;
    return guard_probe_write((void *)(uintptr_t)at) == 0;
}

/* Each page of it is looked at: behind a thread's stack and its guard page there may be another stack. */
static bool has_stack(const struct system_call *call)
{
    const uint64_t lowest = calls_run_stack(call), highest = (uint64_t)(uintptr_t)calls_record(call);
    const bool grows = platform_thread_id() == platform_process_id();
    uint64_t seen = highest;
    for (uint64_t at = highest; at - lowest > PAGE; seen = at, at -= PAGE)
        if (!is_writable(at, seen, grows))
            return false;
    return is_writable(lowest, seen, grows);
}

bool change_runs(const struct system_call *call, calls_function *function)
{
    return has_stack(call) && calls_run(call, function);
}

void change_run(const struct system_call *call)
{
    if (change_runs(call, changer->make))
        return;
    if (changes_region(call)) {
        calls_return(call, CALLS_NO_MEMORY);
        return;
    }
    changer->misses(call);
    calls_pass(call);
}
