/* feature.c: what this process lacks, and why. */
#include "feature.h"

#include <segue/emulate.h>

#include "platform/forced.h"
#include "emulate/replay/replay.h"

/* Static strings. NULL: no call has failed. */
static __thread const char *reason __attribute__((tls_model("initial-exec")));

enum segue_status feature_explain(enum segue_status status, const char *why)
{
    if (status == SEGUE_NO_MEMORY)
        why = "the system has no more memory or mappings to give";
    if (status != SEGUE_OK)
        reason = why;
    return status;
}

const char *segue_reason(void)
{
    return reason ? reason : "";
}

enum segue_status segue_replay_prepare(void)
{
    return feature_explain(replay_prepare(),
                           "the system lets this process execute no memory that it writes through a second "
                           "mapping (SELinux execmem, or a filter of mmap)");
}

enum segue_status segue_forced_prepare(void)
{
    return feature_explain(forced_prepare(),
                           "the kernel does not let this process past its own protection: it cannot open "
                           "/proc/thread-self/mem (no /proc, another user since it began, no descriptor "
                           "left), or proc_mem.force_override forbids the access");
}

enum segue_status segue_feature_check(enum segue_feature feature)
{
    switch (feature) {
    case SEGUE_FEATURE_REPLAY:
        return segue_replay_prepare();
    case SEGUE_FEATURE_FORCED:
        return segue_forced_prepare();
    }
    return feature_explain(SEGUE_INVALID, "the number is no enum segue_feature");
}
