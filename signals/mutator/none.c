/* none.c: no thread is suspended, and none captures its registers. */
#include <segue/suspend.h>

#include "capture.h"
#include "platform/reason.h"
#include "suspend.h"

uint64_t capture_area_size, capture_features;

enum segue_status segue_mutator_capture(struct segue_mutator *context, void *area, size_t area_size)
{
    (void)area;
    (void)area_size;
    return context ? reason_give(SEGUE_UNSUPPORTED, "a thread's own registers are not captured here") : SEGUE_INVALID;
}

int suspend_signal(void)
{
    return 0;
}

void suspend_now(void)
{
}
