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

/* Those threads; 0: free. */
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

/* Withdraws the note of a thread; false if there was none. */
static bool forget(int thread)
{
    for (unsigned i = 0; i < MOST; i++)
        if (read_place(i) == thread && replace(i, thread, 0))
            return true;
    return false;
}

/* Two notes of a thread, made at the same time, do no harm. */
static bool note(int thread)
{
    for (unsigned i = 0; i < MOST; i++)
        if (read_place(i) == thread)
            return true;
    for (unsigned i = 0; i < MOST; i++)
        if (!read_place(i) && replace(i, 0, thread))
            return true;
    for (unsigned i = 0; i < MOST; i++) {
        const int present = read_place(i);
        if (identity_is_gone((struct identity){present, IDENTITY_OWN}) && replace(i, present, thread))
            return true;
    }
    return false;
}

static bool is_first(int number)
{
    return platform_handler_is(number, (const void *)(uintptr_t)signal_entry);
}

bool knock_send(int thread)
{
    const int number = is_first(SIGSEGV) && !platform_thread_blocks(thread, SIGSEGV) ? SIGSEGV : SIGSYS;
    if ((number == SIGSYS && !is_first(SIGSYS)) || !note(thread))
        return false;
    if (platform_thread_send(thread, number, (uint64_t)(uintptr_t)&mark) == 0)
        return true;
    forget(thread);
    return false;
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

bool knock_wait(void)
{
    unsigned looks = 0;
    for (unsigned i = 0; i < MOST; i++)
        for (int thread; (thread = read_place(i)) != 0;) {
            if (!is_pending(thread)) {
                replace(i, thread, 0);
                break;
            }
            if (looks++ == LOOKS)
                return false;
            platform_sleep(PAUSE);
        }
    return true;
}

void knock_in_child(void)
{
    memset(under_way, 0, sizeof under_way);
}
