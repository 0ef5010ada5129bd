/* asker.h: a thread's place for its questions to hot policies. */
#ifndef SEGUE_SIGNALS_HOT_ASKER_H
#define SEGUE_SIGNALS_HOT_ASKER_H

#include "signals/hot/slots.h"

/* In `at`: there is a link; else the return address of a quick question, in the body that asks. */
#define ASKER_IS_LINK (UINT64_C(1) << 63)

/* On the stack of a thread in a policy. The policy may be inside another one, whose question a handler has
 * interrupted: `outer` is as `at`. */
struct asker_link {
    const struct hot_slot *slot;
    uint64_t outer;
};

struct asker {
    /* What the policy of a quick question is shown. */
    _Alignas(64) struct segue_hot_event event;
    /* The TID of the thread that has it; 0 if none. */
    uint32_t owner;
    /* What has happened to the thread in a policy (quick_layout.h); 0 if it is in none. */
    uint32_t attention;
    /* Where its stack shows which slot's policy it is in: the innermost. 0: in none. */
    uint64_t at;
    /* How many links are gone. */
    uint64_t changes;
};

#endif
