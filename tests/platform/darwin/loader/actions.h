/* actions.h: signals' actions, for signals.c. See loader.h. */
#ifndef DARWIN_ACTIONS_H
#define DARWIN_ACTIONS_H

#include "loader.h"

#define BIT(number) (1u << ((number)-1))

struct d_action {
    uint64_t handler;
    uint32_t mask;
    int flags;
};
extern struct d_action actions[DARWIN_SIGNALS];

#endif
