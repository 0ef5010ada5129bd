/* called.c: guests on a system that calls a function of platform/, which opens the frame and then calls the library's
 * handler. */
#include "gate.h"

extern __thread struct guest_thread *guest_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

platform_handler *guest_system_handler;

void guest_handle(int number, void *info, void *ucontext, void (*handler)(int, void *, void *), struct gate *gate)
{
    gate->is_pending = true;
    handler(number, info, ucontext);
    gate->is_pending = false;
}

bool guest_is_entered(int thread)
{
    for (unsigned i = 0; i < THREAD_COUNT; i++) {
        const struct gate *gate = guest_threads[i].thread == thread ? guest_threads[i].gate : NULL;
        if (gate && gate->place == GATE_PLACE_GUEST)
            return true;
    }
    return false;
}

void guest_serve(int number, void *info, void *ucontext, void (*handler)(int, void *, void *))
{
    struct gate *gate = guest_self ? guest_self->gate : NULL;
    if (!gate || !gate->is_pending) {
        handler(number, info, ucontext);
        return;
    }
    gate->is_pending = false;
    guest_handle_frame(number, info, ucontext, handler, gate);
}
