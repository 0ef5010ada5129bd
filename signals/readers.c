/* readers.c: each fault in progress holds a place with a ticket in it, unlike any other that was or will be there. A
 * remover looks at every place once and waits until the ticket that it found has gone; so a steady stream of newcomers
 * never holds it up.
 *
 * A ticket may be left behind: a signal handler of the program's interrupted us and left by siglongjmp, or ended the
 * thread. So a remover that has waited long asks: it sends the thread our own signal, marked as a question, and the
 * thread settles (thread_settle); or the kernel answers that there is no such thread.
 *
 * SOURCES: M. M. Michael, "Hazard pointers", 2004 (the order of the two sides: each writes, then reads what the other
 * writes). */
#include "readers.h"

#include <errno.h>
#include <time.h>

#include "../decode/system/call_linux_x86_64.h"
#include "action_linux_x86_64.h"
#include "dispatch.h"
#include "thread.h"
#include "work.h"

/* So many faults may be in progress at once; one more waits for one of them to end. */
#define PLACES WORK_MOST
/* How long a remover waits before it asks, and again before it asks anew, in nanoseconds. */
#define PATIENCE 20000000l

/* A ticket is the thread's number above and the thread's own count below; 0 is a free place. */
static _Alignas(64) uint64_t places[PLACES];

/* Its address marks a question. */
static char question;

static int thread_of(uint64_t ticket)
{
    return (int)(ticket >> 32);
}

/* Only places that have a work area, once there are any. */
static uint32_t usable_places(void)
{
    uint32_t areas = work_count();
    return areas ? areas : PLACES;
}

uint32_t readers_enter(void)
{
    uint64_t ticket = (uint64_t)thread_number() << 32 | ++thread_self.tickets;
    uint32_t usable = usable_places();
    for (uint32_t at = thread_shard() * (usable / THREAD_SHARDS);; at++) {
        uint64_t free = 0;
        if (__atomic_compare_exchange_n(&places[at % usable], &free, ticket, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return at % usable;
    }
}

void readers_leave(uint32_t place)
{
    __atomic_store_n(&places[place], 0, __ATOMIC_RELEASE);
}

void readers_forget(void)
{
    /* All that is there: one may have been taken and not yet noted. */
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t ticket = __atomic_load_n(&places[i], __ATOMIC_RELAXED);
        if (ticket && thread_of(ticket) == thread_number())
            __atomic_store_n(&places[i], 0, __ATOMIC_RELEASE);
    }
}

bool readers_is_question(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_value.sival_ptr == &question;
}

static void ask(uint64_t *place, uint64_t ticket)
{
    struct sigaction present;
    siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_QUEUE};
    info.si_value.sival_ptr = &question;
    long process = system_call3(SYS_getpid, 0, 0, 0);
    if (system_call3(SYS_tgkill, process, thread_of(ticket), 0) == -ESRCH) {
        __atomic_compare_exchange_n(place, &ticket, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
        return;
    }
    /* A handler over ours would take the question for a signal of the program's. */
    if (action_exchange(SIGSEGV, NULL, &present) && present.sa_sigaction == signal_entry)
        system_call4(SYS_rt_tgsigqueueinfo, process, thread_of(ticket), SIGSEGV, (long)&info);
}

/* A fault takes microseconds, a policy perhaps more: look often at first, then seldom. */
static void wait_for(uint64_t *place, uint64_t ticket)
{
    struct timespec pause = {.tv_nsec = 1000};
    long waited = 0;
    while (__atomic_load_n(place, __ATOMIC_ACQUIRE) == ticket) {
        nanosleep(&pause, NULL);
        waited += pause.tv_nsec;
        if (pause.tv_nsec < 1000000)
            pause.tv_nsec *= 2;
        if (waited > PATIENCE) {
            ask(place, ticket);
            waited = 0;
        }
    }
}

void readers_wait(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t ticket = __atomic_load_n(&places[i], __ATOMIC_ACQUIRE);
        if (ticket)
            wait_for(&places[i], ticket);
    }
}

void readers_reset(void)
{
    int number = thread_self.number;
    thread_self.number = 0;
    for (uint32_t i = 0; i < PLACES; i++)
        places[i] =
            places[i] && thread_of(places[i]) == number ? (uint64_t)thread_number() << 32 | (uint32_t)places[i] : 0;
}
