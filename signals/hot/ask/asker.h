/* asker.h: a thread's place for its questions to hot policies. */
#ifndef SEGUE_SIGNALS_HOT_ASKER_H
#define SEGUE_SIGNALS_HOT_ASKER_H

#include "signals/hot/slots.h"

/* In `at`: there is a whole link, not a slot alone. */
#define ASKER_IS_LINK 1u

/* On the stack of a thread in a policy. The policy may be inside another one, whose question a handler has
 * interrupted: `outer` is as `at`. */
struct asker_link {
    const struct hot_slot *slot;
    uint64_t outer;
};

struct asker {
    /* The TID of the thread that has it; 0 if none. */
    _Alignas(64) uint32_t owner;
    /* What has happened to the thread in a policy (quick_layout.h); 0 if it is in none. */
    uint32_t attention;
    /* Where on its stack the thread notes which slot's policy it is in: the innermost. 0: in none. */
    uint64_t at;
    /* How many links are gone. */
    uint64_t changes;
    /* What the policy of a quick question is shown. */
    _Alignas(64) struct segue_hot_event event;
};

#endif
