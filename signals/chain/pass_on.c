/* pass_on.c: chaining where the system itself asks one handler after the other: the library's handler only has to leave
 * a fault to those behind it. Nothing is sent, and nothing is blocked. */
#include "chain.h"

#include "action.h"
#include "platform/handlers/pass_on.h"
#include "previous.h"
#include "signals/sigchain/believed.h"

bool chain_install(int number, const struct platform_action *previous, const struct platform_action *ours)
{
    (void)previous;
    return action_exchange_or_error(number, ours, NULL);
}

bool chain_put_back(int number)
{
    static const struct platform_action none;
    return action_exchange_or_error(number, &none, NULL);
}

__attribute__((hot)) enum chain_way chain_way_in(int number, const void *ucontext, const void *entry_stack)
{
    (void)number;
    (void)ucontext;
    (void)entry_stack;
    return CHAIN_ENTER;
}

void chain_signal(int number, struct native_frame native, bool is_fault, enum chain_way way)
{
    (void)number;
    (void)is_fault;
    (void)way;
    platform_pass_on(native.info);
}

void chain_trap(struct native_frame native, enum chain_way way)
{
    (void)way;
    platform_pass_on(native.info);
}

void chain_restore_mask(int number, const void *ucontext)
{
    (void)number;
    (void)ucontext;
}

uint64_t chain_open_faults(void)
{
    return 0;
}

void chain_close_faults(uint64_t mask)
{
    (void)mask;
}

/* Whether there is a handler behind the library's is not known. */
bool chain_is_deadly(int number)
{
    (void)number;
    return false;
}

bool chain_is_ignored(int number)
{
    (void)number;
    return false;
}

void chain_die(int number, void *info)
{
    (void)number;
    platform_pass_on(info);
}

/* ---- what goes with signals ---- */

void chain_keep_open(uint64_t signals)
{
    (void)signals;
}

/* No action is recorded: the system keeps them. */
void previous_exchange(int number, const struct platform_action *wanted, struct platform_action *before)
{
    (void)number;
    (void)wanted;
    if (before)
        *before = (struct platform_action){0};
}

void previous_always_restart(uint64_t set)
{
    (void)set;
}

uint64_t previous_restarts(int number, const struct platform_action *action)
{
    (void)number;
    (void)action;
    return 0;
}

void believed_begin(uint64_t signals)
{
    (void)signals;
}

void believed_end(void)
{
}
