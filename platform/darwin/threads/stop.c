/* stop.c: see platform/threads/stop.h.
 *
 * A thread that waits in the kernel is shown as it made the system call. thread_abort_safely would bring it out of
 * there, but with EINTR for the program, and nothing here needs it.
 *
 * A thread's handlers run on its alternate stack, and a collector that scans from that stack pointer would not meet the
 * thread's own stack. So a thread that is there, and in no handler that it has noted, is on its way in or out, and runs
 * on for a moment.
 *
 * SOURCES: Mach's thread_suspend, thread_get_state (waits until the thread has stopped); XNU osfmk/i386/pcb.c (a state
 * that the thread does not have is refused). */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "platform/darwin/threads/stop.c is specific to macOS on x86-64"
#endif

#include "platform/threads/stop.h"

#include <mach/mach.h>

#include "platform/darwin/frame/native.h"
#include "platform/darwin/handlers/port_stacks.h"
#include "platform/posix/called/nested.h"
#include "slots.h"

struct stop {
    struct native_context context;
    struct gathered_room room;
    thread_act_t thread;
    /* Its `native_thread`; NULL if it has none. */
    char *local;
    struct native_state state;
    uint32_t mask;
};

size_t stop_size(void)
{
    return (sizeof(struct stop) + 63) / 64 * 64;
}

enum stop_result stop_begin(struct stop *stop, int thread)
{
    stop->thread = (thread_act_t)thread;
    if (thread_suspend(stop->thread) != KERN_SUCCESS)
        return STOP_GONE;
    stop->local = slots_of_thread(stop->thread);
    if (native_state_get(&stop->state, stop->thread)) {
        stop->mask = 0;
        native_begin(&stop->context, &stop->state, &stop->mask, &stop->room);
        return STOP_DONE;
    }
    thread_resume(stop->thread);
    return STOP_GONE;
}

void stop_end(struct stop *stop)
{
    thread_resume(stop->thread);
}

bool stop_store(struct stop *stop)
{
    return thread_set_state(stop->thread, x86_THREAD_STATE64, (thread_state_t)&stop->state.general,
                            x86_THREAD_STATE64_COUNT) == KERN_SUCCESS &&
           native_vectors_set(&stop->state, stop->thread);
}

void *stop_context(struct stop *stop)
{
    return &stop->context;
}

/* An image's variables are one block in each thread. */
void *stop_local(const struct stop *stop, const void *own)
{
    return stop->local ? stop->local + ((const char *)own - (const char *)&native_thread) : NULL;
}

void *stop_interrupted(const struct stop *stop)
{
    const struct native_thread *thread = stop_local(stop, &native_thread);
    return thread ? native_outermost(thread, stop->state.general.__rsp) : NULL;
}

bool stop_is_leaving(const struct stop *stop)
{
    const struct native_thread *thread = stop_local(stop, &native_thread);
    struct alternate_stack of_port;
    if (port_stack_find(stop->state.general.__rsp, &of_port))
        return !stop_interrupted(stop);
    return thread && native_is_on(&thread->stack, stop->state.general.__rsp) && !stop_interrupted(stop);
}
