/* action.h: installs signal actions. A handler without a restorer gets the library's. */
#ifndef SEGUE_SIGNALS_ACTION_H
#define SEGUE_SIGNALS_ACTION_H

#include <errno.h>
#include <signal.h>

#include "platform/handlers/action.h"
#include "restorer.h"
#include "signals/handler/signal_entry.h"

/* Whether a handler needs a restorer. */
static inline bool action_needs_restorer(void)
{
    return ACTION_NEEDS_RESTORER;
}

/* As platform_action_change, with the library's restorer if `wanted` has none. Async-signal-safe. */
static inline long action_change(int number, const struct platform_action *wanted, struct platform_action *before)
{
    struct platform_action next;
    if (wanted) {
        next = *wanted;
        if (next.handler != ACTION_DEFAULT && !(next.flags & ACTION_HAS_RESTORER) && action_needs_restorer()) {
            next.flags |= ACTION_HAS_RESTORER;
            next.restorer = (uint64_t)(uintptr_t)restorer_plain;
        }
    }
    return platform_action_change(number, wanted ? &next : NULL, before);
}

/* The same; returns whether it succeeded. Async-signal-safe. */
static inline bool action_exchange(int number, const struct platform_action *wanted, struct platform_action *before)
{
    return action_change(number, wanted, before) == 0;
}

/* The same, for a function that returns SEGUE_SYSTEM on failure: errno then holds the reason. */
static inline bool action_exchange_or_error(int number, const struct platform_action *wanted,
                                            struct platform_action *before)
{
    long result = action_change(number, wanted, before);
    if (result != 0)
        errno = (int)-result;
    return result == 0;
}

/* Whether the action is a handler: SA_SIGINFO does not turn ACTION_DEFAULT into one. */
static inline bool action_is_handler(const struct platform_action *action)
{
    return action->handler != ACTION_DEFAULT && action->handler != ACTION_IGNORE;
}

/* Whether the action is the library's own handler. */
static inline bool action_is_ours(const struct platform_action *action)
{
    return action->handler == (uint64_t)(uintptr_t)signal_entry;
}

/* Calls the action's handler. */
static inline void action_call(const struct platform_action *action, int number, void *info, void *context)
{
    ((platform_handler *)(uintptr_t)action->handler)(number, info, context);
}

#endif
