/* embedder.c: the functions of <segue/posix.h> for an embedder's own handler, where a function of platform/ is what the
 * system calls for the library's. What that function has on its stack is in the embedder's frame; the area of the
 * extended state is the embedder's (segue_frame_gather).
 *
 * SOURCES: sigaction(2). */
#if defined(_WIN32)
#error "platform/posix/called/embedder.c is specific to POSIX"
#endif

#include <segue/posix.h>

#include "chain.h"
#include "platform/frame/embedder.h"
#include "platform/reason.h"

struct embedded {
    struct native_info info;
    struct native_context context;
    siginfo_t *told;
    ucontext_t *system;
};
_Static_assert(sizeof(struct embedded) <= sizeof((struct segue_frame){0}.private_), "the frame has room for it");

enum segue_status segue_frame_open(struct segue_frame *frame, siginfo_t *info, void *ucontext)
{
    const siginfo_t none = {.si_signo = 0};
    if (!frame || !ucontext)
        return SEGUE_INVALID;
    struct embedded *of = (struct embedded *)frame->private_;
    of->told = info;
    of->system = ucontext;
    native_open(&of->info, &of->context, info ? info : &none, ucontext, NULL);
    return embedder_frame_open(frame, (struct native_frame){info ? &of->info : NULL, &of->context});
}

enum segue_restore_method segue_restore_choose(const struct sigaction *action)
{
    reason_give(SEGUE_UNSUPPORTED,
                action ? "on this system the frame has no area to restore" : "there is no action to choose for");
    return SEGUE_RESTORE_RETURN;
}

enum segue_status segue_chain_at(struct segue_frame *frame, struct sigaction *previous, const void *handler_frame)
{
    (void)handler_frame;
    if (!frame || !frame->native[0] || !frame->fault.signal)
        return reason_give(SEGUE_INVALID, "the frame is NULL, or not that of a signal");
    if (!previous)
        return reason_give(SEGUE_INVALID, "there is no action to carry out");
    const struct embedded *of = frame->native[0];
    native_chain(previous, &of->info, of->told, of->system);
    return SEGUE_OK;
}
