/* frame.c: the functions of <segue/posix.h> for an embedder's own handler, where the frame is as the kernel made it.
 *
 * SOURCES: sigaction(2), sigaltstack(2). */
#if !defined(__unix__) && !defined(__APPLE__)
#error "platform/posix/frame.c is specific to systems with signals"
#endif

#include "platform/posix.h"

#include <segue/posix.h>
#include <string.h>

#include "platform/frame/embedder.h"
#include "platform/guest.h"
#include "platform/posix/guest_catch.h"
#include "platform/reason.h"

__attribute__((hot)) enum segue_status segue_frame_open(struct segue_frame *frame, siginfo_t *info, void *ucontext)
{
    return embedder_frame_open(frame, (struct native_frame){info, ucontext});
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

static struct platform_action action_of(const struct sigaction *action)
{
    struct platform_action made = {.handler = (uint64_t)(uintptr_t)action->sa_handler,
                                   .flags = (uint32_t)action->sa_flags & ~(uint32_t)ACTION_HAS_RESTORER};
    memcpy(&made.mask, &action->sa_mask, sizeof made.mask);
    if (((uint32_t)action->sa_flags & ACTION_HAS_RESTORER) && action->sa_restorer) {
        made.flags |= ACTION_HAS_RESTORER;
        made.restorer = (uint64_t)(uintptr_t)action->sa_restorer;
    }
    return made;
}

/* As the kernel does before it enters a one-shot handler. */
static void take_action(struct sigaction *previous, struct platform_action *action)
{
    *action = action_of(previous);
    if (action->flags & SA_RESETHAND)
        action->handler = (uint64_t)(uintptr_t)__atomic_exchange_n(&previous->sa_handler, SIG_DFL, __ATOMIC_RELAXED);
}

enum segue_status segue_chain_at(struct segue_frame *frame, struct sigaction *previous, const void *handler_frame)
{
    struct platform_action action;
    if (!frame || !frame->native[1] || !frame->fault.signal)
        return reason_give(SEGUE_INVALID, "the frame is NULL, or not that of a signal");
    if (!previous)
        return reason_give(SEGUE_INVALID, "there is no action to carry out");
    take_action(previous, &action);
    const void *entry = handler_frame ? (const char *)handler_frame - sizeof(void *) : NULL;
    posix_chain(frame->fault.signal, (struct native_frame){frame->native[0], frame->native[1]}, &action, entry);
    return SEGUE_OK;
}

enum segue_status posix_guest_catch(siginfo_t *info, void *ucontext)
{
    return guest_catch((struct native_frame){info, ucontext});
}
