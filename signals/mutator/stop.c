/* stop.c: suspends other threads by stopping them from outside, and resumes them.
 *
 * A thread may be stopped at any of its instructions, also in the library: in a step, whose access would be half done,
 * and after a policy's verdict, which may not hold after the suspension. Such a thread runs on for a moment, and is
 * stopped again; a policy's verdict is asked anew (thread_state.suspensions).
 *
 * Two threads that suspend each other would wait indefinitely: so only one thread at a time suspends, until it has
 * resumed all threads that it has suspended. Nothing here holds a lock while it waits.
 *
 * SOURCES: MPS code/thw3.c, code/prmcw3.c. */
#include <segue/suspend.h>

#include "platform/abi.h"
#include "platform/clock.h"
#include "platform/frame/frame.h"
#include "platform/memory/memory.h"
#include "platform/process/once.h"
#include "platform/reason.h"
#include "platform/threads/identity.h"
#include "platform/threads/stop.h"
#include "platform/threads/wait.h"
#include "signals/fault/fault.h"
#include "signals/threads/thread.h"
#include "suspend.h"
#include "turn.h"

#define PLACES SEGUE_SUSPENDED_MOST
/* How often a thread that is leaving a handler is let run on. */
#define LEAVES 100u

static struct place {
    /* The thread; 0: free. */
    int32_t thread;
    /* How many suspensions hold it. */
    uint32_t holders;
    struct segue_mutator context;
} places[PLACES];
/* A stopped thread for each place. */
static char *stops;
static bool installed;

static struct stop *stop_of(const struct place *place)
{
    return (struct stop *)(void *)(stops + (size_t)(place - places) * stop_size());
}

static bool map_stops(void)
{
    stops = platform_map(PLACES * stop_size());
    return stops != NULL;
}

int suspend_signal(void)
{
    return 0;
}

void suspend_now(void)
{
}

/* It is asked without a signal. */
void suspend_answer(struct native_frame native)
{
    (void)native;
}

bool suspend_store(const void *native)
{
    for (uint32_t i = 0; i < PLACES; i++)
        if (places[i].thread && stop_context(stop_of(&places[i])) == native)
            return stop_store(stop_of(&places[i]));
    return true;
}

/* ---- installation: there is no signal to be handled ---- */

enum segue_status segue_suspend_install(const struct segue_suspend_options *options)
{
    static struct once mapped;
    if (options && !RESERVED_IS_ZERO(options))
        return reason_give(SEGUE_INVALID, "options.reserved is not zero: was the struct initialised?");
    if (options && (options->flags & ~(uint32_t)SEGUE_SUSPEND_ALTERNATE_STACK))
        return reason_give(SEGUE_INVALID, "options.flags has a bit that enum segue_suspend_flags does not define");
    if (options && (options->flags || options->signal))
        return reason_give(SEGUE_UNSUPPORTED, "threads are suspended without a signal here, and on no stack");
    if (!once(&mapped, map_stops))
        return reason_give(SEGUE_NO_MEMORY, NULL);
    bool was = __atomic_exchange_n(&installed, true, __ATOMIC_ACQ_REL);
    return reason_give(was ? SEGUE_EXISTS : SEGUE_OK, "suspension is installed");
}

static bool is_installed(void)
{
    return __atomic_load_n(&installed, __ATOMIC_ACQUIRE);
}

enum segue_status segue_suspend_check(struct segue_owner *owner)
{
    (void)owner;
    return reason_give(is_installed() ? SEGUE_OK : SEGUE_NOT_FOUND, "suspension is not installed");
}

enum segue_status segue_suspend_uninstall(void)
{
    if (!is_installed())
        return reason_give(SEGUE_NOT_FOUND, "suspension is not installed");
    /* No thread suspends meanwhile. */
    if (!turn_take_free())
        return reason_give(SEGUE_BUSY, "threads are suspended");
    __atomic_store_n(&installed, false, __ATOMIC_RELEASE);
    turn_end(1);
    return SEGUE_OK;
}

/* ---- one thread ---- */

/* Below the frame of the outermost handler that the thread is in; the alternate stack, if it runs there. */
static void take_handler_stack(struct segue_mutator *context, const void *interrupted)
{
    uint64_t start = context->private_.regs.rsp, end = context->regs.rsp;
    struct frame_stack alternate = frame_get_alternate_stack(interrupted);
    if (frame_is_on(&alternate, start) && !frame_is_on(&alternate, end))
        end = alternate.base + alternate.size;
    context->private_.stack = (start - RED_ZONE) & ~(uint64_t)7;
    context->private_.stack_end = end > start ? end & ~(uint64_t)7 : context->private_.stack;
}

static void read_context(struct stop *stop, struct segue_mutator *context)
{
    void *stopped = stop_context(stop), *interrupted = stop_interrupted(stop);
    *context = (struct segue_mutator){.red_zone = RED_ZONE, .kind = SEGUE_MUTATOR_THREAD};
    fault_get_registers(interrupted ? interrupted : stopped, &context->regs);
    frame_get_any_xstate(interrupted ? interrupted : stopped, &context->xstate);
    if (!interrupted) {
        context->private_.native = stop_is_leaving(stop) ? 0 : (uint64_t)(uintptr_t)stopped;
        return;
    }
    context->in_fault = true;
    fault_get_registers(stopped, &context->private_.regs);
    frame_get_any_xstate(stopped, &context->private_.xstate);
    take_handler_stack(context, interrupted);
}

/* Stops the thread where it may be shown. */
static enum segue_status stop_at_rest(struct stop *stop, int32_t thread, uint64_t deadline)
{
    for (unsigned leaves = 0;; wait_a_moment()) {
        enum stop_result result = stop_begin(stop, thread);
        if (result != STOP_DONE)
            return result == STOP_GONE ? SEGUE_NOT_FOUND : SEGUE_SYSTEM;
        struct thread_state *state = stop_local(stop, &thread_self);
        bool is_leaving = leaves < LEAVES && stop_is_leaving(stop);
        if (state && !state->stepping && !is_leaving) {
            state->suspensions++;
            return SEGUE_OK;
        }
        if (!state && !is_leaving)
            return SEGUE_OK;
        leaves += is_leaving;
        stop_end(stop);
        if (platform_clock() >= deadline)
            return SEGUE_TIMEOUT;
    }
}

static struct place *find_place(int32_t thread)
{
    for (uint32_t i = 0; i < PLACES; i++)
        if (places[i].thread == thread)
            return &places[i];
    return NULL;
}

static enum segue_status suspend(struct segue_suspension *suspension, uint64_t deadline)
{
    int32_t thread = (int32_t)suspension->thread;
    if (thread <= 0 || (segue_thread_id)thread != suspension->thread)
        return SEGUE_NOT_FOUND;
    if (thread == thread_number())
        return SEGUE_INVALID;
    struct place *place = find_place(thread);
    if (!place) {
        place = find_place(0);
        if (!place)
            return SEGUE_NO_MEMORY;
        enum segue_status status = stop_at_rest(stop_of(place), thread, deadline);
        if (status != SEGUE_OK)
            return status;
        read_context(stop_of(place), &place->context);
        place->holders = 0;
        __atomic_store_n(&place->thread, thread, __ATOMIC_RELEASE);
    }
    __atomic_fetch_add(&place->holders, 1, __ATOMIC_RELAXED);
    suspension->context = place->context;
    suspension->private_.place = (uint32_t)(place - places);
    suspension->private_.held = 1;
    return SEGUE_OK;
}

enum segue_status segue_threads_suspend(struct segue_suspension *list, size_t count, uint64_t timeout)
{
    const uint64_t deadline = turn_deadline(timeout);
    uint32_t held = 0;
    enum segue_status first = SEGUE_OK;
    if (!list && count)
        return SEGUE_INVALID;
    if (!is_installed())
        return SEGUE_NOT_FOUND;
    if (count > PLACES)
        return SEGUE_NO_MEMORY;
    if (!turn_take((uint32_t)count + 1, deadline))
        return SEGUE_BUSY;
    for (size_t i = 0; i < count; i++) {
        list[i].private_.held = 0;
        list[i].status = suspend(&list[i], deadline);
        held += list[i].status == SEGUE_OK;
        if (first == SEGUE_OK && list[i].status != SEGUE_NOT_FOUND)
            first = list[i].status;
    }
    turn_end((uint32_t)count + 1 - held);
    return first;
}

static bool resume(struct segue_suspension *suspension)
{
    if (!suspension->private_.held || suspension->private_.place >= PLACES)
        return false;
    struct place *place = &places[suspension->private_.place];
    suspension->private_.held = 0;
    if (__atomic_load_n(&place->thread, __ATOMIC_ACQUIRE) != (int32_t)suspension->thread)
        return false;
    if (__atomic_sub_fetch(&place->holders, 1, __ATOMIC_ACQ_REL) == 0) {
        stop_end(stop_of(place));
        __atomic_store_n(&place->thread, 0, __ATOMIC_RELEASE);
    }
    turn_end(1);
    return true;
}

enum segue_status segue_threads_resume(struct segue_suspension *list, size_t count)
{
    enum segue_status status = SEGUE_OK;
    if (!list && count)
        return SEGUE_INVALID;
    for (size_t i = 0; i < count; i++)
        if (list[i].status == SEGUE_OK && !resume(&list[i]))
            status = SEGUE_NOT_FOUND;
    return status;
}

enum segue_status segue_thread_suspend(struct segue_suspension *suspension, uint64_t timeout)
{
    enum segue_status status = suspension ? segue_threads_suspend(suspension, 1, timeout) : SEGUE_INVALID;
    return status == SEGUE_OK ? suspension->status : status;
}

enum segue_status segue_thread_resume(struct segue_suspension *suspension)
{
    return suspension ? segue_threads_resume(suspension, 1) : SEGUE_INVALID;
}
