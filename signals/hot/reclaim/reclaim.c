/* reclaim.c: see reclaim.h. */
#include "reclaim.h"

#include <stdbool.h>
#include <stddef.h>

#include "held.h"
#include "patch/hot/hot.h"
#include "platform/code.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/threads/thread.h"

/* The bytes of retired bodies that are worth it, at first and after a look at all threads. */
#define WORTH (UINT64_C(128) << 10)
/* How often one thread is looked at, and before it is asked, and how long it is waited for in between. */
#define ROUNDS 60u
#define ROUNDS_BEFORE 2u
#define PAUSE UINT64_C(200000)

static void (*when_freed)(void *context, const struct hot_body *body);
static uint64_t due = WORTH;
static uint32_t looking;

void reclaim_begin(void (*freed)(void *context, const struct hot_body *body))
{
    when_freed = freed;
    hot_set_reclaimer(reclaim);
}

/* A thread that waits is not disturbed; one that runs is asked, once. */
static bool look_at(int thread, void *context)
{
    bool *is_known = context, is_asked = false;
    if (thread == platform_thread_id())
        return true;
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (platform_thread_is_gone(thread) || held_by_waiting(thread) || (is_asked && held_is_answered()))
            return true;
        if (!is_asked && round >= ROUNDS_BEFORE && !look_is_in_call(thread))
            is_asked = held_ask(thread);
        if (round)
            platform_sleep(PAUSE);
    }
    *is_known = false;
    return false;
}

static bool look_at_all(void)
{
    bool is_known = true;
    return held_by_self() && (platform_thread_is_alone() || (look_at_threads(look_at, &is_known) && is_known));
}

void reclaim(void)
{
    bool is_worth_it = hot_lacks_room() || hot_retired_size() >= __atomic_load_n(&due, __ATOMIC_RELAXED);
    if (!is_worth_it || !hot_retired_size() || thread_is_inside() || __atomic_exchange_n(&looking, 1, __ATOMIC_ACQUIRE))
        return;
    uint64_t before = hot_retirement();
    hot_hold_none();
    /* A thread that has fetched a jump to one of them has executed it. */
    if (platform_serialise() && look_at_all())
        for (unsigned round = 0; round < ROUNDS && hot_collect(before, when_freed, NULL) == SEGUE_BUSY; round++)
            platform_sleep(PAUSE);
    __atomic_store_n(&due, hot_retired_size() + WORTH, __ATOMIC_RELAXED);
    __atomic_store_n(&looking, 0, __ATOMIC_RELEASE);
}

void reclaim_in_child(void)
{
    __atomic_store_n(&looking, 0, __ATOMIC_RELEASE);
}
