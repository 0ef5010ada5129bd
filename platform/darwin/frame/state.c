/* state.c: states of threads that do not run, as Mach gives them; and which of the library's handlers a thread is in.
 *
 * SOURCES: Apple's headers mach/i386/thread_status.h, mach/i386/_structs.h; XNU osfmk/i386/pcb.c (a thread that has not
 * used AVX-512 has no such state: the call fails). */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "state.c is specific to macOS on x86-64"
#endif

#include <mach/mach.h>

#include "native.h"
#include "platform/darwin/threads/slots.h"
#include "platform/frame/frame.h"

static const struct {
    thread_state_flavor_t flavor;
    mach_msg_type_number_t count;
} vectors[] = {
    {x86_AVX512_STATE64, x86_AVX512_STATE64_COUNT},
    {x86_AVX_STATE64, x86_AVX_STATE64_COUNT},
    {x86_FLOAT_STATE64, x86_FLOAT_STATE64_COUNT},
};

static bool get(thread_act_t thread, thread_state_flavor_t flavor, void *to, mach_msg_type_number_t count)
{
    mach_msg_type_number_t given = count;
    return thread_get_state(thread, flavor, (thread_state_t)to, &given) == KERN_SUCCESS && given == count;
}

static bool get_vectors(struct native_state *state, thread_act_t thread)
{
    for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        state->vectors_size = vectors[i].count * (uint32_t)sizeof(natural_t);
        if (get(thread, vectors[i].flavor, state->vectors, vectors[i].count))
            return true;
    }
    return false;
}

bool native_state_get(struct native_state *state, thread_act_t thread)
{
    return get(thread, x86_THREAD_STATE64, &state->general, x86_THREAD_STATE64_COUNT) &&
           get(thread, x86_EXCEPTION_STATE64, &state->exception, x86_EXCEPTION_STATE64_COUNT) &&
           get_vectors(state, thread);
}

bool native_vectors_set(const struct native_state *state, thread_act_t thread)
{
    for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (vectors[i].count * sizeof(natural_t) == state->vectors_size)
            return thread_set_state(thread, vectors[i].flavor, (thread_state_t)(uintptr_t)state->vectors,
                                    vectors[i].count) == KERN_SUCCESS;
    return false;
}

void native_begin(struct native_context *context, struct native_state *state, uint32_t *mask,
                  struct gathered_room *room)
{
    context->self = context;
    context->outer = NULL;
    context->general = &state->general;
    context->exception = &state->exception;
    context->vectors = state->vectors;
    context->vectors_size = state->vectors_size;
    context->mask = mask;
    context->stack = (struct alternate_stack){.flags = STACK_DISABLED};
    context->was_on_stack = false;
    gathered_begin(&context->state, room);
}
