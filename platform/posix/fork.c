/* fork.c: see platform/process/fork.h.
 *
 * SOURCES: pthread_atfork(3). */
#if defined(_WIN32)
#error "platform/posix/fork.c is specific to POSIX"
#endif

#include "platform/process/fork.h"

#include <pthread.h>
#include <stddef.h>

#include "platform/process/once.h"

static const struct fork_hooks *registered[FORK_ORDERS];

static const struct fork_hooks *hooks_at(unsigned order)
{
    static const struct fork_hooks none;
    const struct fork_hooks *hooks = __atomic_load_n(&registered[order], __ATOMIC_ACQUIRE);
    return hooks ? hooks : &none;
}

void fork_run_before(void)
{
    for (unsigned order = FORK_ORDERS; order-- > 0;) {
        const struct fork_hooks *hooks = hooks_at(order);
        if (hooks->before)
            hooks->before();
    }
}

void fork_run_in_parent(void)
{
    for (unsigned order = 0; order < FORK_ORDERS; order++) {
        const struct fork_hooks *hooks = hooks_at(order);
        if (hooks->in_parent)
            hooks->in_parent();
    }
}

void fork_run_in_child(void)
{
    for (unsigned order = 0; order < FORK_ORDERS; order++) {
        const struct fork_hooks *hooks = hooks_at(order);
        if (hooks->in_child)
            hooks->in_child();
    }
}

static bool watch_forks(void)
{
    return pthread_atfork(fork_run_before, fork_run_in_parent, fork_run_in_child) == 0;
}

bool fork_register(enum fork_order order, const struct fork_hooks *hooks)
{
    static struct once forks;
    const struct fork_hooks *none = NULL;
    if (!once(&forks, watch_forks))
        return false;
    __atomic_compare_exchange_n(&registered[order], &none, hooks, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    return true;
}
