/* handler_check.c: whether an embedder's own handler is fit to step.
 *
 * SOURCES: sigaction(2), sigaltstack(2). */
#if defined(_WIN32)
#error "platform/posix/handler_check.c is specific to POSIX"
#endif

#include <segue/handler.h>
#include <segue/posix.h>

#include "platform/reason.h"

static const char *unfitness(const struct sigaction *action)
{
    stack_t stack;
    if (!(action->sa_flags & SA_SIGINFO))
        return "the handler was installed without SA_SIGINFO: it is not given the frame";
    if (!(action->sa_flags & SA_NODEFER))
        return "the handler was installed without SA_NODEFER: a step that meets closed memory would be fatal";
    if ((action->sa_flags & SA_ONSTACK) && sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE) &&
        stack.ss_size < segue_handler_stack())
        return "the thread's alternate stack is smaller than segue_handler_stack";
    return NULL;
}

enum segue_status segue_handler_check(int signal)
{
    struct sigaction action;
    if (sigaction(signal, NULL, &action) != 0)
        return SEGUE_INVALID;
    const char *why = unfitness(&action);
    return why ? reason_give(SEGUE_UNSUPPORTED, why) : SEGUE_OK;
}
