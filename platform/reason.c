/* reason.c: why a thread's last call failed. */
#include "reason.h"

__thread const char *reason_last;

enum segue_status reason_give(enum segue_status status, const char *why)
{
    if (status == SEGUE_NO_MEMORY)
        why = "the system has no more memory or mappings to give";
    if (status != SEGUE_OK)
        reason_last = why;
    return status;
}

const char *segue_reason(void)
{
    return reason_last ? reason_last : "";
}
