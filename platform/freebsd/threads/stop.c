/* stop.c: see platform/threads/stop.h. The system stops no single thread for another of its process: so a thread stops
 * itself, in the handler of a signal, which shows what it has interrupted.
 *
 * The signal carries no word. A table says which threads are wanted, and by its round a thread knows for how long it
 * is. The handler runs on the alternate stack if there is one. A thread in a critical region of the C library's gets
 * the signal behind it, with a frame that has the legacy state alone.
 *
 * SOURCES: FreeBSD thr_kill2(2), _umtx_op(2); lib/libthr/thread/thr_sig.c (check_deferred_signal). */
#if !defined(__FreeBSD__)
#error "platform/freebsd/threads/stop.c is specific to FreeBSD"
#endif

#include "platform/threads/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "held.h"
#include "platform/clock.h"
#include "platform/frame/frame.h"
#include "platform/freebsd/handlers/signals.h"
#include "platform/memory/memory.h"
#include "platform/posix/called/nested.h"
#include "platform/process/once.h"
#include "platform/threads/thread.h"

#define PLACES 64u
/* A word's lower bits; above them is the round. */
enum { FREE, TAKEN, ASKED, STOPPED, STATES = 4 };
#define PATIENCE UINT64_C(1000000000)
#define PAUSE UINT64_C(10000000)

static struct place {
    uint32_t word;
    int thread;
    struct native_context *context;
} places[PLACES];

static uint32_t word_of(uint32_t round, uint32_t state)
{
    return round * STATES + state;
}

static bool exchange(uint32_t *word, uint32_t before, uint32_t after)
{
    return __atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- the thread that stops ---- */

/* The place that asks for this thread; NULL if none does. */
static struct place *place_for(int thread, uint32_t *round)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t word = __atomic_load_n(&places[i].word, __ATOMIC_ACQUIRE);
        *round = word / STATES;
        if (word % STATES == ASKED && places[i].thread == thread &&
            __atomic_load_n(&places[i].word, __ATOMIC_ACQUIRE) == word)
            return &places[i];
    }
    return NULL;
}

static void on_stop(int number, siginfo_t *told, void *system)
{
    struct native_context native;
    struct gathered_room room;
    uint32_t round;
    int kept = errno;
    (void)number;
    (void)told;
    struct place *place = place_for(platform_thread_id(), &round);
    if (place) {
        native_begin(&native, system, &room);
        place->context = &native;
        const uint32_t stopped = word_of(round, STOPPED);
        if (exchange(&place->word, word_of(round, ASKED), stopped))
            platform_wake(&place->word, 1);
        while (__atomic_load_n(&place->word, __ATOMIC_ACQUIRE) == stopped)
            platform_wait(&place->word, stopped, PLATFORM_FOREVER);
    }
    errno = kept;
}

static bool install(void)
{
    struct sigaction action = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    memset(&action.sa_mask, 0xff, sizeof action.sa_mask);
    return sigaction(SIGNAL_STOP, &action, NULL) == 0;
}

/* ---- the thread that stops another ---- */

static struct place *take_place(uint32_t *round)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t word = __atomic_load_n(&places[i].word, __ATOMIC_ACQUIRE);
        *round = word / STATES;
        if (word % STATES == FREE && exchange(&places[i].word, word, word_of(*round, TAKEN)))
            return &places[i];
    }
    return NULL;
}

static void leave_place(struct place *place, uint32_t round)
{
    __atomic_store_n(&place->word, word_of(round + 1, FREE), __ATOMIC_RELEASE);
    platform_wake(&place->word, 1);
}

/* Whether the thread has stopped; else it is no longer asked to. */
static bool wait_for(struct place *place, uint32_t round, int thread)
{
    const uint32_t asked = word_of(round, ASKED);
    const uint64_t end = platform_clock() + PATIENCE;
    while (__atomic_load_n(&place->word, __ATOMIC_ACQUIRE) == asked) {
        platform_wait(&place->word, asked, PAUSE);
        if ((platform_thread_is_gone(thread) || platform_clock() >= end) &&
            exchange(&place->word, asked, word_of(round, TAKEN)))
            return false;
    }
    return true;
}

enum stop_result hold(struct held *held, int thread)
{
    static struct once installed;
    if (!once(&installed, install))
        return STOP_REFUSED;
    struct place *place = take_place(&held->round);
    if (!place)
        return STOP_REFUSED;
    place->thread = thread;
    __atomic_store_n(&place->word, word_of(held->round, ASKED), __ATOMIC_RELEASE);
    bool is_sent = platform_thread_signal(thread, SIGNAL_STOP);
    if (is_sent && wait_for(place, held->round, thread)) {
        held->context = place->context;
        held->place = (uint32_t)(place - places);
        return STOP_DONE;
    }
    leave_place(place, held->round);
    return is_sent && !platform_thread_is_gone(thread) ? STOP_REFUSED : STOP_GONE;
}

void release(const struct held *held)
{
    leave_place(&places[held->place], held->round);
}

/* ---- stop.h ---- */

struct stop {
    struct held held;
    uint64_t own_base, base;
};

size_t stop_size(void)
{
    return (sizeof(struct stop) + 63) / 64 * 64;
}

/* Where thread-local storage is: the base of FS or GS points to its end. */
static uint64_t locals_of(const ucontext_t *system)
{
#if defined(__x86_64__)
    return (uint64_t)system->uc_mcontext.mc_fsbase;
#else
    return (uint32_t)system->uc_mcontext.mc_gsbase;
#endif
}

static uint64_t own_locals(void)
{
    struct segue_regs regs;
    frame_get_bases(&regs);
#if defined(__x86_64__)
    return regs.fs_base;
#else
    return regs.gs_base;
#endif
}

enum stop_result stop_begin(struct stop *stop, int thread)
{
    enum stop_result result = hold(&stop->held, thread);
    if (result != STOP_DONE)
        return result;
    stop->base = locals_of(stop->held.context->system);
    stop->own_base = own_locals();
    return STOP_DONE;
}

void stop_end(struct stop *stop)
{
    release(&stop->held);
}

/* The frame is the kernel's: the thread is in its handler. */
bool stop_store(struct stop *stop)
{
    (void)stop;
    return true;
}

void *stop_context(struct stop *stop)
{
    return stop->held.context;
}

void *stop_local(const struct stop *stop, const void *own)
{
    return (void *)(uintptr_t)(stop->base + ((uint64_t)(uintptr_t)own - stop->own_base));
}

void *stop_interrupted(const struct stop *stop)
{
    return native_outermost(stop_local(stop, &native_thread), frame_stack_pointer(stop->held.context));
}

bool stop_is_leaving(const struct stop *stop)
{
    const struct native_context *context = stop->held.context;
    return native_is_on(&context->stack, frame_stack_pointer(context)) && !stop_interrupted(stop);
}
