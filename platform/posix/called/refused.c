/* refused.c: the functions of <segue/posix.h> for an embedder's own handler. Its frame is not opened here: the system
 * keeps the extended state in parts, and the library has a place for the gathered state only in its own handler.
 *
 * SOURCES: sigaction(2). */
#if defined(_WIN32)
#error "platform/posix/called/refused.c is specific to POSIX"
#endif

#include <segue/posix.h>

#include "platform/reason.h"

#define REFUSAL "on this system only the library's own handler opens frames"

enum segue_status segue_frame_open(struct segue_frame *frame, siginfo_t *info, void *ucontext)
{
    (void)info;
    return frame && ucontext ? reason_give(SEGUE_UNSUPPORTED, REFUSAL) : SEGUE_INVALID;
}

enum segue_restore_method segue_restore_choose(const struct sigaction *action)
{
    reason_give(SEGUE_UNSUPPORTED, action ? REFUSAL : "there is no action to choose for");
    return SEGUE_RESTORE_RETURN;
}

enum segue_status segue_handler_check(int signal)
{
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 ? reason_give(SEGUE_UNSUPPORTED, REFUSAL) : SEGUE_INVALID;
}

enum segue_status segue_chain_at(struct segue_frame *frame, struct sigaction *previous, const void *handler_frame)
{
    (void)handler_frame;
    return frame && previous ? reason_give(SEGUE_UNSUPPORTED, REFUSAL) : SEGUE_INVALID;
}
