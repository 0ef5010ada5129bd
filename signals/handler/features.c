/* features.c: what this process, or this version of the library, lacks, and why. */
#include <segue/emulate.h>

#include "ctx/guest/gate.h"
#include "ctx/restore/direct.h"
#include "ctx/state/control.h"
#include "platform/lacks.h"
#include "platform/reason.h"
#include "signals/hot/begin.h"
#include "signals/syscalls/sites/sites.h"
#include "signals/syscalls/syscalls.h"

static enum segue_status check_direct_restore(void)
{
    const char *why = restore_obstacle();
    return why ? reason_give(SEGUE_UNSUPPORTED, why) : SEGUE_OK;
}

enum segue_status segue_feature_check(enum segue_feature feature)
{
    switch (feature) {
    case SEGUE_FEATURE_REPLAY:
        return segue_replay_prepare();
    case SEGUE_FEATURE_FORCED:
        return segue_forced_prepare();
    case SEGUE_FEATURE_DIRECT_RESTORE:
        return check_direct_restore();
    case SEGUE_FEATURE_GUEST:
        if (!guest_is_possible())
            return reason_give(SEGUE_UNSUPPORTED, "guests need " PLATFORM_LACKS);
        if (control_has_shadow_stack())
            return reason_give(SEGUE_UNSUPPORTED, "a shadow stack is in force, and guests do not switch it");
        return SEGUE_OK;
    case SEGUE_FEATURE_ALTERNATE_STACK:
        return PLATFORM_HAS_ALTERNATE_STACKS
                   ? SEGUE_OK
                   : reason_give(SEGUE_UNSUPPORTED, "the system has no alternate stacks: handlers run on the thread's");
    case SEGUE_FEATURE_SEGMENT:
        return PLATFORM_HAS_BASES ? SEGUE_OK
                                  : reason_give(SEGUE_UNSUPPORTED, "the bases of FS and GS are the system's own here");
    case SEGUE_FEATURE_SUSPEND:
    case SEGUE_FEATURE_NEAR:
        return SEGUE_OK;
    case SEGUE_FEATURE_HOT:
        return hot_check();
    case SEGUE_FEATURE_SYSTEM_CALLS:
        return syscalls_are_caught()
                   ? SEGUE_OK
                   : reason_give(syscalls_obstacle() ? SEGUE_UNSUPPORTED : SEGUE_OK, syscalls_obstacle());
    case SEGUE_FEATURE_CALL_SITES:
        return reason_give(call_sites_obstacle() ? SEGUE_UNSUPPORTED : SEGUE_OK, call_sites_obstacle());
    case SEGUE_FEATURE_FORK_COPY:
        return reason_give(SEGUE_UNSUPPORTED,
                           "this version of the library shares a mapping with the children of a fork");
    case SEGUE_FEATURE_WATCH:
        return reason_give(SEGUE_UNSUPPORTED, "this version of the library has no watches");
    }
    return reason_give(SEGUE_INVALID, "the number is not an enum segue_feature");
}
