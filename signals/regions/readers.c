/* readers.c: grace periods for region removal. Each fault in progress, a reader, holds a slot ("place") with a ticket
 * in it, a number that is never used twice. A remover reads every slot once, and waits until the ticket that it found
 * is gone, or until it is known that the fault has not found the removed region; so new faults never delay a remover.
 *
 * A ticket may be stale: a program's signal handler interrupted the library's and left by siglongjmp, or ended the
 * thread. So a remover that has waited for long looks for stale tickets, without disturbing the thread, which may be in
 * a policy. A ticket is stale if
 *   - the kernel reports that the thread does not exist (identity.h);
 *   - the fault's stack sentinel ("mark") is overwritten, or the thread waits in the kernel with a stack pointer that
 *     shows that it has left the fault (look.h);
 *   - the thread says so. Only a thread that runs at every look is asked: the remover knocks (knock.h), and the
 *     handler drops the stale tickets (thread_settle). A running thread is not in a system call that the signal could
 *     interrupt.
 *
 * SOURCES: M. M. Michael, "Hazard pointers", 2004 (the order of the two sides: each writes, then reads what the other
 * writes). */
#include "readers.h"

#include <signal.h>
#include <string.h>

#include "platform/threads/identity.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "signals/handler/signal_entry.h"
#include "signals/threads/knock.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"

/* The most faults in progress at once; one more waits for one of them to end. */
#define PLACES WORK_MOST
/* Nanoseconds that a remover waits before its first look, and between looks. */
#define PATIENCE 20000000u
/* Looks in a row that must find the thread running before it is asked; and how many where looking is impossible. */
#define LOOKS_RUNNING 10u
#define LOOKS_UNKNOWN 50u
/* Regions that a slot can name; a fault that has found more counts as a reader of all regions. */
#define NAMED 2u
#define MAY_BE_ANY UINT32_MAX
/* The bit fields of a ticket. */
#define GROUP_SHIFT 62u
#define NUMBER_MASK 0x3fffffffu

/* The reader slots: what a remover knows of each fault. */
static struct place {
    /* How to ask about the thread, the thread's TID, and the thread's own count (ticket_of); 0 if the slot is free. */
    _Alignas(128) uint64_t ticket;
    /* The ticket that all fields below belong to; written after them. */
    uint64_t described;
    /* The regions that the fault has found; MAY_BE_ANY as long as it may find more. */
    uint32_t found;
    const struct region *regions[NAMED];
    /* Its address is NULL if the fault has no mark. */
    struct thread_mark mark;
} places[PLACES];

/* A thread may end right after it has taken a slot: so the ticket itself says how to ask about the thread. The kernel
 * gives no TID above 2^22 (PID_MAX_LIMIT). */
static uint64_t ticket_of(struct identity thread, uint32_t count)
{
    return (uint64_t)thread.group << GROUP_SHIFT | (uint64_t)(uint32_t)thread.number << 32 | count;
}

static struct identity thread_of(uint64_t ticket)
{
    return (struct identity){(int)(ticket >> 32 & NUMBER_MASK), (enum identity_group)(ticket >> GROUP_SHIFT)};
}

/* Only the slots that have a work area, once work areas are mapped. */
static uint32_t usable_places(void)
{
    uint32_t areas = work_count();
    return areas ? areas : PLACES;
}

static void abandon(uint32_t at)
{
    if (at < work_count())
        work_abandon(work_at(at));
}

/* Frees a slot of this thread. A handler that interrupts this and leaves by siglongjmp leaves the slot to be freed
 * again. */
static void forget(uint32_t at, uint64_t ticket)
{
    abandon(at);
    __atomic_compare_exchange_n(&places[at].ticket, &ticket, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Frees the slot of a thread that has ended; this thread owns it meanwhile. All signals are blocked: otherwise a
 * fault in a handler that interrupts this would take the slot for a stale one, and free it. */
static void take_over(uint32_t at, uint64_t ticket)
{
    uint64_t kept = platform_signals_hold();
    uint64_t own = ticket_of(identity_of_self(), ++thread_self.tickets);
    if (__atomic_compare_exchange_n(&places[at].ticket, &ticket, own, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        abandon(at);
        __atomic_store_n(&places[at].ticket, 0, __ATOMIC_RELEASE);
    }
    thread_self.tickets_left++;
    platform_signals_release(kept);
}

/* Frees the slots of threads that ended inside a fault; yields the processor to other threads in between. */
static void forget_ended(void)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t ticket = __atomic_load_n(&places[i].ticket, __ATOMIC_ACQUIRE);
        if (ticket && identity_is_gone(thread_of(ticket)))
            take_over(i, ticket);
    }
    wait_a_moment();
}

__attribute__((hot)) uint32_t readers_enter(const struct thread_mark *mark)
{
    uint64_t ticket = ticket_of(identity_of_self(), ++thread_self.tickets);
    uint32_t usable = usable_places(), at = thread_shard() * (usable / THREAD_SHARDS) % usable;
    uint64_t free = 0;
    for (uint32_t tries = 1;
         !__atomic_compare_exchange_n(&places[at].ticket, &free, ticket, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
         tries++) {
        free = 0;
        at = (at + 1) % usable;
        if (tries % usable == 0)
            forget_ended();
    }
    struct place *place = &places[at];
    place->found = MAY_BE_ANY;
    place->mark = mark ? *mark : (struct thread_mark){0};
    __atomic_store_n(&place->described, ticket, __ATOMIC_RELEASE);
    return at;
}

__attribute__((hot)) void readers_found(uint32_t at, const struct region *const *regions, size_t count)
{
    struct place *place = &places[at];
    if (count > NAMED)
        return;
    for (size_t i = 0; i < count; i++)
        place->regions[i] = regions[i];
    __atomic_store_n(&place->found, (uint32_t)count, __ATOMIC_RELEASE);
}

__attribute__((hot)) uint32_t readers_ticket(uint32_t place)
{
    return (uint32_t)__atomic_load_n(&places[place].ticket, __ATOMIC_RELAXED);
}

void readers_look_again(uint32_t place)
{
    __atomic_exchange_n(&places[place].found, MAY_BE_ANY, __ATOMIC_SEQ_CST);
}

__attribute__((hot)) void readers_leave(uint32_t place)
{
    __atomic_store_n(&places[place].ticket, 0, __ATOMIC_RELEASE);
    thread_self.tickets_left++;
}

/* Whether the ticket belongs to that thread, not to one with the same TID in another namespace. */
static bool is_of(uint64_t ticket, struct identity thread)
{
    struct identity taker = thread_of(ticket);
    return taker.number == thread.number && taker.group == thread.group;
}

/* Frees those slots with this thread's TID for which `is_meant` returns true. */
static void forget_if(bool (*is_meant)(uint32_t at, uint32_t count, uint32_t context), uint32_t context)
{
    struct identity self = identity_of_self();
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t ticket = __atomic_load_n(&places[i].ticket, __ATOMIC_RELAXED);
        if (ticket && is_of(ticket, self) && is_meant(i, (uint32_t)ticket, context))
            forget(i, ticket);
    }
}

static bool is_any(uint32_t at, uint32_t count, uint32_t context)
{
    (void)at;
    (void)count;
    (void)context;
    return true;
}

static bool is_since(uint32_t at, uint32_t count, uint32_t first)
{
    (void)at;
    return (int32_t)(count - first) >= 0;
}

/* A slot that was taken and that the thread has not recorded yet is the latest one. */
static bool is_stray(uint32_t at, uint32_t count, uint32_t context)
{
    const struct thread_state *thread = &thread_self;
    (void)context;
    if (thread->depth && count == thread->tickets)
        return false;
    for (const struct work *work = thread->depth ? thread->work : NULL; work; work = work->level.outer)
        if (work->place == at)
            return false;
    return true;
}

/* Frees all slots of the thread: one may have been taken and not yet recorded. */
void readers_forget(void)
{
    forget_if(is_any, 0);
    thread_self.tickets_left = thread_self.tickets;
}

void readers_forget_since(uint32_t ticket)
{
    forget_if(is_since, ticket);
}

void readers_forget_strays(void)
{
    forget_if(is_stray, 0);
}

/* ---- questions ---- */

/* If another handler is installed over the library's, it would take the question for a signal of the program: then
 * the remover sends a harmless signal instead (a nudge). If the thread has left the alternate stack, the kernel
 * writes that signal's frame over the fault's, and so over its mark. */
void readers_ask(int thread, const struct thread_mark *mark)
{
    bool is_first = platform_handler_is(SIGSEGV, (const void *)(uintptr_t)signal_entry);
    if (!is_first || platform_thread_blocks(thread, SIGSEGV)) {
        if (mark->at && mark->on_alternate && mark->info)
            platform_thread_nudge(thread);
    } else {
        knock_send(thread);
    }
}

/* ---- waiting ---- */

/* A remover's wait for one ticket. */
struct waiting {
    struct place *place;
    uint64_t ticket;
    /* The removed region; NULL for all. */
    const struct region *region;
    /* Looks in a row that did not show where the thread stands, and how many of them are needed before it is asked. */
    unsigned looks, looks_wanted;
};

/* Whether the fault may have found the region, or may yet find it. */
static bool is_concerned(const struct waiting *wait)
{
    const struct place *place = wait->place;
    if (__atomic_load_n(&place->described, __ATOMIC_ACQUIRE) != wait->ticket || !wait->region)
        return true;
    uint32_t found = __atomic_load_n(&place->found, __ATOMIC_ACQUIRE);
    if (found > NAMED)
        return true;
    for (uint32_t i = 0; i < found; i++)
        if (place->regions[i] == wait->region)
            return true;
    return false;
}

static bool is_under_way(const struct waiting *wait)
{
    return __atomic_load_n(&wait->place->ticket, __ATOMIC_ACQUIRE) == wait->ticket && is_concerned(wait);
}

/* Whether a look from outside shows that the thread has left its fault. A thread of another process cannot be
 * examined, and in another namespace its TID may be that of a thread of this process. */
static bool is_left(struct waiting *wait, struct identity reader, const struct thread_mark *mark)
{
    uint64_t stack_pointer;
    enum look look;
    int thread = reader.number;
    if (mark->at && thread_is_overwritten(mark))
        return true;
    if (!identity_is_own_process() || (mark->at && reader.group != IDENTITY_OWN))
        return false;
    look = look_at_thread(thread, &stack_pointer);
    /* A fault that has not described itself yet never waits: so a thread that waits has left it. */
    if (look == LOOK_WAITS && mark->at) {
        wait->looks = 0;
        return thread_is_beyond(mark, stack_pointer, false);
    }
    if (++wait->looks < (look == LOOK_RUNS ? 1u : LOOKS_UNKNOWN / LOOKS_RUNNING) * wait->looks_wanted)
        return false;
    wait->looks = 0;
    wait->looks_wanted *= 2;
    readers_ask(thread, mark);
    return false;
}

/* Frees the ticket of a thread that has ended. A ticket that a living thread has left stays: the thread frees it,
 * with what the fault held, when it settles. */
static bool is_over(struct waiting *wait)
{
    struct place *place = wait->place;
    struct thread_mark mark = {0};
    struct identity thread = thread_of(wait->ticket);
    if (__atomic_load_n(&place->described, __ATOMIC_ACQUIRE) == wait->ticket)
        mark = place->mark;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!is_under_way(wait))
        return true;
    if (!identity_is_gone(thread))
        return is_left(wait, thread, &mark);
    take_over((uint32_t)(place - places), wait->ticket);
    return true;
}

/* A fault takes microseconds, a policy may take longer: look often at first, then rarely. */
static void wait_for(struct waiting *wait)
{
    uint64_t pause = 1000, waited = 0;
    while (is_under_way(wait)) {
        platform_sleep(pause);
        waited += pause;
        if (pause < 1000000)
            pause *= 2;
        if (waited <= PATIENCE)
            continue;
        if (is_over(wait))
            return;
        waited = 0;
    }
}

__attribute__((hot)) void readers_wait(const struct region *region)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct waiting wait = {.place = &places[i], .region = region, .looks_wanted = LOOKS_RUNNING};
        wait.ticket = __atomic_load_n(&places[i].ticket, __ATOMIC_ACQUIRE);
        if (wait.ticket)
            wait_for(&wait);
    }
}

void readers_reset(void)
{
    identity_in_child();
    int before = identity_self.number_before_fork;
    knock_in_child();
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t ticket = places[i].ticket;
        bool is_own = ticket && thread_of(ticket).number == before;
        places[i].ticket = is_own ? ticket_of(identity_of_self(), (uint32_t)ticket) : 0;
        places[i].described = is_own && places[i].described == ticket ? places[i].ticket : 0;
    }
}

void readers_rename(int before, struct identity self)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t ticket = __atomic_load_n(&places[i].ticket, __ATOMIC_RELAXED);
        uint64_t renamed = ticket_of(self, (uint32_t)ticket);
        if (!ticket || thread_of(ticket).number != before)
            continue;
        bool is_described = __atomic_load_n(&places[i].described, __ATOMIC_RELAXED) == ticket;
        __atomic_store_n(&places[i].ticket, renamed, __ATOMIC_RELAXED);
        if (is_described)
            __atomic_store_n(&places[i].described, renamed, __ATOMIC_RELEASE);
    }
}
