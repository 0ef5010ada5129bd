/* try.c: recovery points: blocks that may fault (segue_try). */
#include "try.h"

#include <segue/try.h>

#include "ctx/restore/landing.h"
#include "decode/x86/traps.h"
#include "platform/frame/frame.h"
#include "platform/threads/thread_local.h"

/* The thread's innermost recovery point; the assembly sets it. */
SHARED_THREAD_LOCAL(struct segue_trial *, trial_innermost);
#define INNERMOST SHARED_AT(struct segue_trial *, trial_innermost)

/* In assembly. */
extern const char trial_back[];

enum segue_status segue_try_end(struct segue_trial *trial)
{
    if (!trial || INNERMOST != trial)
        return SEGUE_NOT_FOUND;
    INNERMOST = trial->outer;
    return SEGUE_OK;
}

struct segue_trial *trial_current(void)
{
    return INNERMOST;
}

void trial_set_current(struct segue_trial *trial)
{
    INNERMOST = trial;
}

enum segue_status trial_catch(struct native_frame native, const struct segue_trial *outermost)
{
    struct segue_trial *trial = INNERMOST;
    if (!trial || trial == outermost || frame_is_sent(native.info))
        return SEGUE_NOT_FOUND;
    frame_get_fault(native, &trial->fault);
    INNERMOST = trial->outer;
    frame_call(native.context, (uint64_t)(uintptr_t)trial_back, (uint64_t)(uintptr_t)trial);
    return SEGUE_OK;
}

enum segue_status segue_try_catch(struct segue_frame *frame)
{
    return frame && frame->native[0] ? trial_catch(frame_native(frame), NULL) : SEGUE_INVALID;
}

struct segue_trial *segue_try_set_aside(void)
{
    struct segue_trial *trial = INNERMOST;
    INNERMOST = NULL;
    return trial;
}

void segue_try_put_back(struct segue_trial *trial)
{
    INNERMOST = trial;
}
