/* guest.c: handlers of signals that may interrupt a guest.
 *
 * SOURCES: sigaction(2). */
#if defined(_WIN32)
#error "platform/posix/guest.c is specific to POSIX"
#endif

#include "platform/guest.h"

#include <errno.h>
#include <segue/posix.h>

#include "platform/posix/guest_catch.h"

_Static_assert(NSIG <= GUEST_SIGNALS, "each signal has its place");

static void note_restorer(int number)
{
    struct platform_action action;
    if (platform_action_exchange(number, NULL, &action) && action.restorer)
        guest_note_restorer(action.restorer);
}

int segue_guest_sigaction(int number, const struct sigaction *action, struct sigaction *previous)
{
    if (number < 1 || number >= NSIG) {
        errno = EINVAL;
        return -1;
    }
    platform_handler *handler_before = guest_handlers[number];
    struct sigaction before, wrapped;
    if (action) {
        wrapped = *action;
        bool has_handler =
            (action->sa_flags & SA_SIGINFO) || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
        if (has_handler) {
            /* A handler with one argument ignores two more. */
            guest_handlers[number] = (platform_handler *)action->sa_sigaction;
            wrapped.sa_sigaction = (void (*)(int, siginfo_t *, void *))guest_signal_entry;
            wrapped.sa_flags |= SA_SIGINFO | SA_ONSTACK;
        }
    }
    if (sigaction(number, action ? &wrapped : NULL, &before) != 0) {
        guest_handlers[number] = handler_before;
        return -1;
    }
    note_restorer(number);
    if ((before.sa_flags & SA_SIGINFO) && (platform_handler *)before.sa_sigaction == guest_signal_entry)
        before.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler_before;
    if (previous)
        *previous = before;
    return 0;
}

void segue_guest_handler(int number, siginfo_t *info, void *ucontext)
{
    static const struct sigaction default_action;
    if (posix_guest_catch(info, ucontext) == SEGUE_OK)
        return;
    /* A fault happens again, now without a handler. A signal that was sent was meant for a guest that has ended. */
    if (info->si_code > 0)
        sigaction(number, &default_action, NULL);
}
