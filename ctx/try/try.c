/* try.c: recovery points: blocks that may fault (segue_try). */
#include "try.h"

#include <segue/try.h>

#include "ctx/restore/landing.h"
#include "decode/x86/traps.h"
#include "platform/frame/frame.h"

/* The thread's innermost recovery point; the assembly sets it. */
extern __thread struct segue_trial *trial_innermost __attribute__((tls_model("initial-exec"), visibility("hidden")));
__thread struct segue_trial *trial_innermost;

/* In assembly. */
extern const char trial_back[];

enum segue_status segue_try_end(struct segue_trial *trial)
{
    if (!trial || trial_innermost != trial)
        return SEGUE_NOT_FOUND;
    trial_innermost = trial->outer;
    return SEGUE_OK;
}

struct segue_trial *trial_current(void)
{
    return trial_innermost;
}

void trial_set_current(struct segue_trial *trial)
{
    trial_innermost = trial;
}

enum segue_status trial_catch(struct native_frame native, const struct segue_trial *outermost)
{
    struct segue_trial *trial = trial_innermost;
    if (!trial || trial == outermost || frame_is_sent(native.info))
        return SEGUE_NOT_FOUND;
    frame_get_fault(native, &trial->fault);
    trial_innermost = trial->outer;
    frame_call(native.context, (uint64_t)(uintptr_t)trial_back, (uint64_t)(uintptr_t)trial);
    return SEGUE_OK;
}

enum segue_status segue_try_catch(struct segue_frame *frame)
{
    return frame && frame->native[0] ? trial_catch(frame_native(frame), NULL) : SEGUE_INVALID;
}

struct segue_trial *segue_try_set_aside(void)
{
    struct segue_trial *trial = trial_innermost;
    trial_innermost = NULL;
    return trial;
}

void segue_try_put_back(struct segue_trial *trial)
{
    trial_innermost = trial;
}
