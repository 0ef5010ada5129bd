/* reason.h: why a call failed, in words (segue_reason); and whether reserved words are zero, as a caller must leave
 * them. */
#ifndef SEGUE_PLATFORM_REASON_H
#define SEGUE_PLATFORM_REASON_H

#include <segue/status.h>

/* The thread's last reason, a static string; NULL: none. The handler preserves it, as errno, for the interrupted
 * code. */
extern __thread const char *reason_last __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Stores `why`, a static string, unless the status is SEGUE_OK; for SEGUE_NO_MEMORY it stores that reason instead.
 * Returns the status. Async-signal-safe. */
enum segue_status reason_give(enum segue_status status, const char *why);

/* Whether the reserved words are zero. */
static inline bool reserved_is_zero(const uint64_t *words, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= words[i];
    return all == 0;
}
#define RESERVED_IS_ZERO(structure)                                                                                    \
    reserved_is_zero((structure)->reserved, sizeof(structure)->reserved / sizeof *(structure)->reserved)

#endif
