/* grace.c: see grace.h.
 *
 * After the slot is closed and all threads have serialised, a check lets nothing through any more. What is left are
 * threads that had passed a check before. They are in a hot policy, which its thread has recorded (ask.h); or they are
 * between a check and its access, a few instructions of a body that make no system call, though one of them may wait
 * for a page. So a thread has left them if it waits in a system call, or has used the processor for longer than they
 * can take. A thread that cannot be looked at is waited for that long by the clock. If the caller unmaps the alias, and
 * a thread is late all the same, its access faults and is made again as the program wrote it. */
#include "grace.h"

#include <stddef.h>

#include "platform/code.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/hot/ask/ask.h"

/* Nanoseconds of processor time: the forty instructions of a body take less than one hundredth, even if each of them
 * waits for a page to be filled in. */
#define LONGEST UINT64_C(2000000)
#define PAUSE UINT64_C(100000)
#define UNKNOWN_ROUNDS 40u

/* `start`: its processor time at the beginning, if that is known. */
static bool has_left(int thread, const uint64_t *start, unsigned rounds)
{
    uint64_t now;
    if (platform_thread_is_gone(thread) || look_is_in_call(thread))
        return true;
    if (start && look_processor_time(thread, &now))
        return now - *start >= LONGEST;
    return rounds >= UNKNOWN_ROUNDS;
}

static bool wait_for_thread(int thread, void *context)
{
    uint64_t start;
    (void)context;
    if (thread == platform_thread_id())
        return true;
    bool is_known = look_processor_time(thread, &start);
    for (unsigned rounds = 0; !has_left(thread, is_known ? &start : NULL, rounds); rounds++)
        platform_sleep(PAUSE);
    return true;
}

/* Also for a slot that no body refers to: bodies of others look its region up. */
void hot_slot_wait(const struct hot_slot *slot)
{
    if (!hot_slots_are_used())
        return;
    platform_serialise();
    ask_wait(slot);
    look_at_threads(wait_for_thread, NULL);
}
