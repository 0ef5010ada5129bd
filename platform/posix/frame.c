/* frame.c: the functions of <segue/posix.h> for an embedder's own handler.
 *
 * SOURCES: sigaction(2), sigaltstack(2). */
#if !defined(__unix__) && !defined(__APPLE__)
#error "platform/posix/frame.c is specific to systems with signals"
#endif

#include "platform/posix.h"

#include <segue/handler.h>
#include <segue/posix.h>
#include <string.h>

#include "platform/reason.h"

__attribute__((hot)) enum segue_status segue_frame_open(struct segue_frame *frame, siginfo_t *info, void *ucontext)
{
    return posix_frame_open(frame, (struct native_frame){info, ucontext});
}

static bool is_empty(const sigset_t *mask)
{
    uint64_t word;
    memcpy(&word, mask, sizeof word);
    return word == 0;
}

enum segue_restore_method segue_restore_choose(const struct sigaction *action)
{
    const char *reason = "there is no action to choose for";
    enum segue_restore_method method = SEGUE_RESTORE_RETURN;
    if (action)
        method = restore_choose(!(action->sa_flags & SA_NODEFER) || !is_empty(&action->sa_mask), &reason);
    if (method != SEGUE_RESTORE_DIRECT)
        reason_give(SEGUE_UNSUPPORTED, reason);
    return method;
}

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
