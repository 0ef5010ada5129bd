/* suspend.c: suspends other threads by a signal, and resumes them.
 *
 * The suspender takes a slot ("place") for each thread and sends the signal with the slot's number. The thread's
 * handler stores its context there and waits until the slot is free again. A slot's state is one word: how often it was
 * taken, and its phase. So an answer that comes too late, or one to a request that was withdrawn, finds a word other
 * than it expects, and does nothing:
 *
 *     free -> asked -> answering -> held -> free
 *               +----> given up -> free when the signal comes at last
 *                           +----> asked again
 *
 * The slot index carried by the signal is only a hint: the kernel queues at most one standard signal of a number, so
 * another signal of the same number may arrive in its place; and if the queue is full, the kernel drops the index. So
 * the handler searches the slots for its TID. A signal that arrives without an index, in a thread that has a slot, is
 * the suspender's.
 *
 * A suspender may suspend a thread again: the thread resumes when it was resumed as often.
 *
 * Two threads that suspend each other would wait indefinitely: so only one thread at a time suspends, until it has
 * resumed all threads that it has suspended. Nothing here holds a lock while it waits.
 *
 * SOURCES: rt_tgsigqueueinfo(2), tgkill(2), futex(2), signal(7) (which system calls are restarted); MPS code/pthrdext.c
 * (the default signal). */
#include "suspend.h"

#include <errno.h>
#include <segue/suspend.h>
#include <signal.h>

#include "interrupted.h"
#include "platform/clock.h"
#include "platform/frame/frame.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"
#include "signals/chain/action.h"
#include "signals/chain/chain.h"
#include "signals/hot/ask/ask.h"
#include "signals/hot/leave.h"
#include "signals/syscalls/pending.h"
#include "signals/threads/knock.h"
#include "signals/threads/thread.h"
#include "turn.h"

#define PLACES SEGUE_SUSPENDED_MOST
/* Above a token, so that a value that a program sends is not taken for a token. */
#define TOKEN_MARK (UINT64_C(0x5e60e) << (sizeof(void *) == 8 ? 44 : 12))
/* Nanoseconds between checks whether a thread still exists; they grow up to LAST_PAUSE. */
#define FIRST_PAUSE 50000u
#define LAST_PAUSE 10000000u
/* From that pause on a thread is looked at that does not answer. */
#define FIRST_KNOCK 400000u

enum phase { FREE, ASKED, ANSWERING, HELD, GIVEN_UP };
#define PHASE_BITS 3

static struct place {
    _Alignas(64) uint32_t state;
    /* How many suspensions hold the thread. */
    uint32_t holders;
    /* An earlier request in this slot was given up: two signals may come. */
    bool is_asked_again;
    /* The signal came in a step that the suspension waits for; the thread sends it again after the step. */
    bool is_put_off;
    const struct segue_mutator *context;
} places[PLACES];

/* The slots' TIDs, in an array of their own so that a search reads few cache lines; 0 if the slot is free. */
static int32_t threads[PLACES];
/* No slot from this index on was ever taken. */
static uint32_t places_used;

static int signal_in_use;

int suspend_signal(void)
{
    return __atomic_load_n(&signal_in_use, __ATOMIC_ACQUIRE);
}

void suspend_set_signal(int number)
{
    __atomic_store_n(&signal_in_use, number, __ATOMIC_RELEASE);
}

/* ---- states ---- */

static enum phase phase_of(uint32_t state)
{
    return (enum phase)(state & ((1u << PHASE_BITS) - 1));
}

static uint32_t with_phase(uint32_t state, enum phase phase)
{
    return (state >> PHASE_BITS << PHASE_BITS) | phase;
}

static bool change(struct place *place, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&place->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint32_t state_of(const struct place *place)
{
    return __atomic_load_n(&place->state, __ATOMIC_ACQUIRE);
}

/* Waits until the state has changed, or for that many nanoseconds. May return early. */
static void sleep_while(struct place *place, uint32_t state, uint64_t nanoseconds)
{
    platform_wait(&place->state, state, nanoseconds);
}

static void wake(struct place *place)
{
    platform_wake(&place->state, 1);
}

/* ---- the thread that is suspended ---- */

static bool is_place_of(uint64_t at, int32_t thread)
{
    return __atomic_load_n(&threads[at], __ATOMIC_ACQUIRE) == thread;
}

#define IN(phase) (1u << (phase))

/* The calling thread's slot in one of the phases, and its state; NULL if none. The TID is read before and after the
 * state: a slot that was given up and taken for another thread gets the other TID first. */
static struct place *find_place(uint64_t token, unsigned phases, uint32_t *state)
{
    int32_t number = thread_number();
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_ACQUIRE);
    uint64_t hint = token ^ TOKEN_MARK;
    for (uint32_t i = 0; i <= used; i++) {
        uint64_t at = i == 0 ? hint : i - 1;
        if (at >= used || !is_place_of(at, number))
            continue;
        *state = state_of(&places[at]);
        if ((phases & IN(phase_of(*state))) && is_place_of(at, number))
            return &places[at];
    }
    return NULL;
}

/* A request was answered by a signal that may not be its own: then that one is still to come. Its sender has sent it
 * before it resumes the thread, or gives up. */
static void expect_own_signal(void)
{
    thread_self.expects_suspension = platform_signal_is_pending(suspend_signal());
}

/* Whether a system call can be made as it is may be another matter after the suspension: it is looked at anew. */
static void look_again(const void *ucontext)
{
    pending_look_again((struct native_frame){.context = (void *)(uintptr_t)ucontext});
}

/* False if the request was given up meanwhile. */
static bool be_suspended(struct place *place, uint32_t asked, bool is_own, const void *ucontext)
{
    struct segue_mutator context;
    uint32_t held = with_phase(asked, HELD);
    if (!change(place, asked, with_phase(asked, ANSWERING)))
        return false;
    /* Read now: once the state is HELD, the slot may be released and taken for another thread at any moment. */
    is_own = is_own && !place->is_asked_again;
    thread_self.suspensions++;
    const void *handler = interrupted_read(ucontext, &context);
    context.kind = SEGUE_MUTATOR_THREAD;
    place->context = &context;
    __atomic_store_n(&place->state, held, __ATOMIC_RELEASE);
    wake(place);
    while (state_of(place) == held)
        sleep_while(place, held, PLATFORM_FOREVER);
    if (handler)
        look_again(handler);
    if (!is_own)
        expect_own_signal();
    return true;
}

/* Frees a slot that was given up, since its signal has come. False if the thread has been asked again meanwhile. */
static bool take_late(struct place *place, uint32_t state, bool is_own)
{
    is_own = is_own && !place->is_asked_again;
    if (!change(place, state, with_phase(state, FREE)))
        return false;
    __atomic_store_n(&threads[place - places], 0, __ATOMIC_RELEASE);
    if (!is_own)
        expect_own_signal();
    return true;
}

/* Whether the signal carries a slot's number. */
static bool is_token(const void *info, uint64_t *token)
{
    return platform_signal_word(info, token) && (*token ^ TOKEN_MARK) < PLACES;
}

static long send(int32_t thread, uint32_t at)
{
    return platform_thread_send(thread, suspend_signal(), TOKEN_MARK ^ at);
}

/* The frame is the kernel's: the thread is in its handler. */
bool suspend_store(const void *native)
{
    (void)native;
    return true;
}

/* The thread sends itself the signal again; its handler then finds the request as it is by then. */
void suspend_now(void)
{
    thread_self.is_suspension_put_off = false;
    send(thread_number(), 0);
}

/* Whether the thread is in a step that the suspension must wait for: a policy's verdict about memory may not hold
 * after the suspension. A step that a handler has abandoned by siglongjmp is over. */
static bool put_off(struct place *place, const void *ucontext)
{
    struct thread_state *thread = &thread_self;
    if (thread->stepping)
        thread_settle(frame_stack_pointer(ucontext), frame_was_on_alternate_stack(ucontext));
    if (!thread->stepping)
        return false;
    thread->is_suspension_put_off = true;
    place->is_put_off = true;
    return true;
}

enum answer { NOT_ASKED, PUT_OFF, ANSWERED };

/* `may_be_late`: the signal may be that of a request that was given up. `is_own`: it is certainly that of the request.
 * While the handler looks at a request, the suspender may give it up or ask again: then it is looked at again. */
static enum answer answer(uint64_t token, bool may_be_late, bool is_own, const void *ucontext)
{
    uint32_t state;
    struct place *place;
    while ((place = find_place(token, IN(ASKED) | (may_be_late ? IN(GIVEN_UP) : 0), &state))) {
        bool is_asked = phase_of(state) == ASKED;
        if (is_asked && put_off(place, ucontext))
            return PUT_OFF;
        if (is_asked ? be_suspended(place, state, is_own, ucontext) : take_late(place, state, is_own))
            return ANSWERED;
    }
    return NOT_ASKED;
}

void suspend_serve(int number, void *info, void *ucontext)
{
    frame_begin();
    uint64_t token;
    /* A body's check may not hold after the suspension. */
    if (!hot_leave(ucontext))
        ask_was_suspended();
    look_again(ucontext);
    bool has_token = is_token(info, &token), is_lost = frame_is_lost(info);
    bool is_expected = thread_self.expects_suspension;
    /* The answer may set it anew. */
    thread_self.expects_suspension = false;
    enum answer answered = answer(has_token ? token : 0, has_token || is_lost, has_token && !is_expected, ucontext);
    if (answered == PUT_OFF)
        thread_self.expects_suspension = is_expected;
    bool is_own = has_token || (is_lost && (answered != NOT_ASKED || is_expected));
    if (!is_own)
        chain_signal(number, (struct native_frame){info, ucontext}, false, CHAIN_ENTER);
}

/* Only a thread for which a signal of that number is pending answers: the suspender has sent one before it knocked.
 * Where none is, the thread is in the handler of that signal, and answers there. The suspender's own goes no further.
 * Another stays pending: then the suspender's was dropped. */
void suspend_answer(struct native_frame native)
{
    const int number = suspend_signal();
    struct kept_info kept;
    uint64_t token = 0;
    uint32_t state;
    if (!number || !(frame_get_mask(native.context) & SIGNAL_BIT(number)) ||
        !find_place(0, IN(ASKED) | IN(GIVEN_UP), &state) || !platform_signal_take(number, &kept))
        return;
    const bool has_token = is_token(&kept, &token), is_lost = frame_is_lost(&kept);
    if (!has_token && !is_lost)
        kept_info_send_again(&kept, number);
    if (!hot_leave(native.context))
        ask_was_suspended();
    look_again(native.context);
    answer(has_token ? token : 0, has_token || is_lost, true, native.context);
    thread_self.expects_suspension = false;
}

/* ---- suspending ---- */

/* Adds a holder to a slot that has at least one. */
static bool hold(struct place *place)
{
    uint32_t holders = __atomic_load_n(&place->holders, __ATOMIC_ACQUIRE);
    while (holders && !__atomic_compare_exchange_n(&place->holders, &holders, holders + 1, false, __ATOMIC_ACQ_REL,
                                                   __ATOMIC_ACQUIRE))
        ;
    return holders;
}

/* The TID as the kernel has it; ask() has refused values that cannot be TIDs. */
static int32_t number_of(const struct segue_suspension *suspension)
{
    return (int32_t)suspension->thread;
}

/* Takes a slot that the thread already has: it is suspended, or asked. */
static bool share_place(struct segue_suspension *suspension)
{
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_ACQUIRE);
    for (uint32_t at = 0; at < used; at++) {
        struct place *place = &places[at];
        uint32_t held = with_phase(state_of(place), HELD);
        if (!is_place_of(at, number_of(suspension)) || !hold(place))
            continue;
        if (is_place_of(at, number_of(suspension)) && with_phase(state_of(place), HELD) == held) {
            suspension->private_.place = at;
            suspension->private_.held = held;
            return true;
        }
        __atomic_fetch_sub(&place->holders, 1, __ATOMIC_ACQ_REL);
    }
    return false;
}

static void begin_asking(struct segue_suspension *suspension, uint32_t at, uint32_t asked)
{
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_RELAXED);
    __atomic_store_n(&places[at].holders, 1, __ATOMIC_RELEASE);
    while (used <= at &&
           !__atomic_compare_exchange_n(&places_used, &used, at + 1, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    __atomic_store_n(&threads[at], number_of(suspension), __ATOMIC_RELEASE);
    suspension->private_.place = at;
    suspension->private_.held = with_phase(asked, HELD);
}

/* Takes a slot in that phase and with that TID, and asks the thread in it from now on. The signal of a request that
 * was given up may arrive at once, and finds the new request. */
static bool try_place(struct segue_suspension *suspension, uint32_t at, enum phase phase, int32_t thread)
{
    uint32_t state = state_of(&places[at]);
    uint32_t asked = with_phase(state + (1u << PHASE_BITS), ASKED);
    if (phase_of(state) != phase || __atomic_load_n(&threads[at], __ATOMIC_RELAXED) != thread)
        return false;
    places[at].is_put_off = false;
    places[at].is_asked_again = phase == GIVEN_UP;
    if (!change(&places[at], state, asked))
        return false;
    begin_asking(suspension, at, asked);
    return true;
}

/* Frees the given-up slot of a thread that has ended: its signal will never arrive. */
static void free_given_up(uint32_t at)
{
    uint32_t state = state_of(&places[at]);
    int32_t thread = __atomic_load_n(&threads[at], __ATOMIC_RELAXED);
    if (phase_of(state) == GIVEN_UP && platform_thread_is_gone(thread) &&
        change(&places[at], state, with_phase(state, FREE)))
        __atomic_store_n(&threads[at], 0, __ATOMIC_RELEASE);
}

/* `hint`: the slot to try first. */
static bool take_place(struct segue_suspension *suspension, uint32_t hint)
{
    uint32_t used = __atomic_load_n(&places_used, __ATOMIC_ACQUIRE);
    for (uint32_t at = 0; at < used; at++)
        if (is_place_of(at, number_of(suspension)) && try_place(suspension, at, GIVEN_UP, number_of(suspension)))
            return true;
    for (uint32_t i = 0; i < PLACES; i++)
        if (try_place(suspension, (hint + i) % PLACES, FREE, 0))
            return true;
    for (uint32_t at = 0; at < PLACES; at++) {
        free_given_up(at);
        if (try_place(suspension, at, FREE, 0))
            return true;
    }
    return false;
}

/* True if the request was withdrawn; false if the thread is answering it. `next` is FREE if the signal was not sent,
 * GIVEN_UP if it may still come. */
static bool give_up(const struct segue_suspension *suspension, enum phase next)
{
    struct place *place = &places[suspension->private_.place];
    uint32_t asked = with_phase(suspension->private_.held, ASKED);
    if (__atomic_sub_fetch(&place->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return true;
    if (!change(place, asked, with_phase(asked, next))) {
        __atomic_add_fetch(&place->holders, 1, __ATOMIC_ACQ_REL);
        return false;
    }
    if (next == FREE)
        __atomic_store_n(&threads[suspension->private_.place], 0, __ATOMIC_RELEASE);
    return true;
}

/* Leaves the status SEGUE_OK if an answer is to be awaited. */
static void ask(struct segue_suspension *suspension, uint32_t hint)
{
    suspension->status = SEGUE_OK;
    suspension->private_.held = 0;
    if (suspension->thread == 0 || suspension->thread == segue_thread_self())
        suspension->status = SEGUE_INVALID;
    else if (suspension->thread > INT32_MAX)
        suspension->status = SEGUE_NOT_FOUND;
    else if (share_place(suspension))
        return;
    else if (!take_place(suspension, hint))
        suspension->status = SEGUE_NO_MEMORY;
    else {
        long result = send(number_of(suspension), suspension->private_.place);
        if (result == 0 || !give_up(suspension, FREE))
            return;
        suspension->status = result == -ESRCH ? SEGUE_NOT_FOUND : SEGUE_SYSTEM;
    }
}

bool suspend_is_first(struct platform_action *present)
{
    return action_exchange(suspend_signal(), NULL, present) && (present->flags & SA_SIGINFO) &&
           present->handler == (uint64_t)(uintptr_t)suspend_entry;
}

/* Why the thread will never answer; SEGUE_OK if it may. */
static enum segue_status hopelessness(int32_t thread, bool is_late)
{
    struct platform_action present;
    if (platform_thread_is_gone(thread))
        return SEGUE_NOT_FOUND;
    if (!suspend_is_first(&present))
        return SEGUE_NOT_LAST;
    return is_late ? SEGUE_TIMEOUT : SEGUE_OK;
}

/* The thread may not have taken its signal because it blocks it. */
static void knock_at(int32_t thread)
{
    if (platform_thread_blocks(thread, suspend_signal()))
        knock_send(thread);
}

static enum segue_status await(struct segue_suspension *suspension, uint64_t deadline, bool knocks)
{
    struct place *place = &places[suspension->private_.place];
    uint64_t pause = FIRST_PAUSE;
    for (uint32_t state = state_of(place); state != suspension->private_.held; state = state_of(place)) {
        uint64_t present = platform_clock();
        enum segue_status why = hopelessness(number_of(suspension), present >= deadline);
        if (why != SEGUE_OK && give_up(suspension, why == SEGUE_NOT_FOUND ? FREE : GIVEN_UP))
            return why;
        if (knocks && pause >= FIRST_KNOCK)
            knock_at(number_of(suspension));
        /* A handler may have abandoned the step by siglongjmp. */
        if (pause == LAST_PAUSE && place->is_put_off) {
            place->is_put_off = false;
            send(number_of(suspension), suspension->private_.place);
        }
        bool is_last = present < deadline && deadline - present < pause;
        sleep_while(place, state, is_last ? deadline - present : pause);
        pause = pause < LAST_PAUSE / 2 ? pause * 2 : LAST_PAUSE;
    }
    suspension->context = *place->context;
    return SEGUE_OK;
}

static enum segue_status suspend_all(struct segue_suspension *list, size_t count, uint64_t timeout, bool knocks)
{
    if (!list && count)
        return SEGUE_INVALID;
    if (!suspend_signal())
        return SEGUE_NOT_FOUND;
    if (count > PLACES)
        return SEGUE_INVALID;
    if (count == 0)
        return SEGUE_OK;
    struct platform_action present;
    if (!suspend_is_first(&present))
        return SEGUE_NOT_LAST;
    uint64_t deadline = turn_deadline(timeout);
    if (!turn_take((uint32_t)count, deadline))
        return SEGUE_BUSY;
    enum segue_status first = SEGUE_OK;
    uint32_t failed = 0;
    for (size_t i = 0; i < count; i++)
        ask(&list[i], (uint32_t)i);
    for (size_t i = 0; i < count; i++) {
        if (list[i].status == SEGUE_OK)
            list[i].status = await(&list[i], deadline, knocks);
        failed += list[i].status != SEGUE_OK;
        if (first == SEGUE_OK && list[i].status != SEGUE_NOT_FOUND)
            first = list[i].status;
    }
    if (failed)
        turn_end(failed);
    return first;
}

enum segue_status segue_threads_suspend(struct segue_suspension *list, size_t count, uint64_t timeout)
{
    return suspend_all(list, count, timeout, false);
}

enum segue_status suspend_blocking_too(struct segue_suspension *list, size_t count, uint64_t timeout)
{
    return suspend_all(list, count, timeout, true);
}

static bool resume(struct segue_suspension *suspension)
{
    struct place *place = &places[suspension->private_.place % PLACES];
    uint32_t held = suspension->private_.held;
    if (phase_of(held) != HELD || state_of(place) != held)
        return false;
    suspension->private_.held = 0;
    if (__atomic_sub_fetch(&place->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return true;
    if (!change(place, held, with_phase(held, FREE)))
        return false;
    __atomic_store_n(&threads[suspension->private_.place], 0, __ATOMIC_RELEASE);
    wake(place);
    return true;
}

enum segue_status segue_threads_resume(struct segue_suspension *list, size_t count)
{
    enum segue_status status = SEGUE_OK;
    uint32_t resumed = 0;
    if (!list && count)
        return SEGUE_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (list[i].status != SEGUE_OK)
            continue;
        if (resume(&list[i]))
            resumed++;
        else
            status = SEGUE_NOT_FOUND;
    }
    if (resumed)
        turn_end(resumed);
    return status;
}

enum segue_status segue_thread_suspend(struct segue_suspension *suspension, uint64_t timeout)
{
    if (!suspension)
        return SEGUE_INVALID;
    enum segue_status status = segue_threads_suspend(suspension, 1, timeout);
    return status == SEGUE_OK ? suspension->status : status;
}

enum segue_status segue_thread_resume(struct segue_suspension *suspension)
{
    return suspension ? segue_threads_resume(suspension, 1) : SEGUE_INVALID;
}

/* ---- for the installer ---------------------------------------------------------------------------------------- */

bool suspend_begin_change(void)
{
    return turn_take_free();
}

void suspend_end_change(void)
{
    turn_end(1);
}

void suspend_in_child(void)
{
    turn_in_child();
    for (uint32_t i = 0; i < places_used; i++) {
        places[i].state = with_phase(places[i].state, FREE);
        places[i].holders = 0;
        threads[i] = 0;
    }
}
