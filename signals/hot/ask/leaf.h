/* leaf.h: which registers a hot policy changes, and whether it looks at its event. A store takes as long as two other
 * instructions, so a quick question (quick.h) does without those of registers that the policy leaves alone, and of what
 * it does not see. */
#ifndef SEGUE_SIGNALS_HOT_LEAF_H
#define SEGUE_SIGNALS_HOT_LEAF_H

#include <segue/region.h>

enum quick_kind {
    /* All that a function may change; and it may want its stack aligned, and the direction flag clear. */
    QUICK_FULLY,
    /* A leaf, which wants neither, and has no instruction that changes other registers than RAX; than RAX, RCX and
     * RDX. */
    QUICK_LEAF,
    QUICK_LEAF_OF_THREE,
    /* As QUICK_LEAF, and no instruction reads RSI, where the event is. */
    QUICK_LEAF_BLIND,
    QUICK_KINDS,
};

/* By the policy's code, which stays as it is: otherwise, and if that is not certain, QUICK_FULLY. One at a time;
 * async-signal-safe. */
enum quick_kind leaf_kind(segue_hot_policy *policy);

/* Of the first kind: answers SEGUE_RETRY. */
enum segue_verdict leaf_that_refuses(void *context, const struct segue_hot_event *event);

#endif
