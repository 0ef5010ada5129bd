/* knock.c: see knock.h.
 *
 * SOURCES: Linux kernel/signal.c __send_signal_locked: a signal below SIGRTMIN is dropped while one like it is pending;
 * if the queue is full it is delivered all the same, but loses its siginfo, and looks like a kill(2) by process 0. */
#include "knock.h"

#include <segue/suspend.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "platform/frame/frame.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "signals/handler/signal_entry.h"
#include "signals/threads/thread.h"

/* The most threads for which a knock is under way: more than can be suspended, since all get one at the beginning. */
#define MOST 4096u
_Static_assert(MOST >= SEGUE_SUSPENDED_MOST, "a thread would not be asked to have its calls caught");
/* How often a pending knock is looked at, and the pause between in nanoseconds: 2 seconds together. */
#define LOOKS 2000u
#define PAUSE 1000000u

/* Those threads, once the signal has been sent; before that, with the other sign; 0: free. A place that is not sent is
 * its sender's alone: whoever waits for all does not take it for a knock that has arrived. */
static int under_way[MOST];

/* A signal that carries this address is a knock. */
static char mark;

static int read_place(unsigned i)
{
    return __atomic_load_n(&under_way[i], __ATOMIC_ACQUIRE);
}

static bool replace(unsigned i, int present, int thread)
{
    return __atomic_compare_exchange_n(&under_way[i], &present, thread, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Withdraws a sent note of a thread; false if the thread has no note. */
static bool forget(int thread)
{
    bool has_one = false;
    for (unsigned i = 0; i < MOST; i++) {
        const int present = read_place(i);
        if (present == thread && replace(i, thread, 0))
            return true;
        has_one |= present == -thread;
    }
    return has_one;
}

/* A note that is not sent yet; MOST without a place. */
static unsigned note(int thread)
{
    for (unsigned i = 0; i < MOST; i++)
        if (!read_place(i) && replace(i, 0, -thread))
            return i;
    for (unsigned i = 0; i < MOST; i++) {
        const int present = read_place(i);
        if (present > 0 && identity_is_gone((struct identity){present, IDENTITY_OWN}) && replace(i, present, -thread))
            return i;
    }
    return MOST;
}

/* Besides the two of a signal that its handler has not looked at yet and of the one that is pending, no note of a
 * thread is needed. */
static void note_sent(unsigned place, int thread)
{
    unsigned others = 0;
    for (unsigned i = 0; i < MOST; i++)
        others += read_place(i) == thread;
    __atomic_store_n(&under_way[place], others < 2 ? thread : 0, __ATOMIC_RELEASE);
}

static bool is_first(int number)
{
    return platform_handler_is(number, (const void *)(uintptr_t)signal_entry);
}

bool knock_send(int thread)
{
    const int number = is_first(SIGSEGV) && !platform_thread_blocks(thread, SIGSEGV) ? SIGSEGV : SIGSYS;
    if (number == SIGSYS && !is_first(SIGSYS))
        return false;
    const unsigned place = note(thread);
    if (place == MOST)
        return false;
    const bool is_sent = platform_thread_send(thread, number, (uint64_t)(uintptr_t)&mark) == 0;
    if (is_sent)
        note_sent(place, thread);
    else
        __atomic_store_n(&under_way[place], 0, __ATOMIC_RELEASE);
    return is_sent;
}

bool knock_insist(int thread)
{
    for (unsigned looks = 0; !knock_send(thread); looks++) {
        if (identity_is_gone((struct identity){thread, IDENTITY_OWN}))
            return true;
        if (looks == LOOKS)
            return false;
        platform_sleep(PAUSE);
    }
    return true;
}

bool knock_take(const void *info)
{
    uint64_t word;
    if (platform_signal_word(info, &word) && word == (uint64_t)(uintptr_t)&mark) {
        forget(thread_number());
        return true;
    }
    return frame_is_lost(info) && forget(thread_number());
}

/* Of a knock that was dropped a note is left. The handler of SIGSYS stays. */
static bool is_pending(int thread)
{
    return !identity_is_gone((struct identity){thread, IDENTITY_OWN}) && platform_thread_has_pending(thread, SIGSEGV);
}

/* Withdraws each note that has arrived; false if one has not. While its thread is looked at it is as if it were not
 * sent: whoever sends another knock meanwhile keeps a note of that. */
static bool withdraw_arrived(void)
{
    for (unsigned i = 0; i < MOST; i++) {
        const int thread = read_place(i);
        if (!thread)
            continue;
        if (thread < 0 || !replace(i, thread, -thread))
            return false;
        const bool has_arrived = !is_pending(thread);
        __atomic_store_n(&under_way[i], has_arrived ? 0 : thread, __ATOMIC_RELEASE);
        if (!has_arrived)
            return false;
    }
    return true;
}

bool knock_wait(void)
{
    for (unsigned looks = 0; !withdraw_arrived(); looks++) {
        if (looks == LOOKS)
            return false;
        platform_sleep(PAUSE);
    }
    return true;
}

void knock_in_child(void)
{
    memset(under_way, 0, sizeof under_way);
}
