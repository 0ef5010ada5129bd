/* fork.h: what the library's modules do around fork(2): one registry, in an order that is data.
 *
 * Before a fork the hooks run from the highest number to the lowest; after it, in the parent and in the child, from the
 * lowest to the highest. So a module that may be called with another's lock held has the smaller number. A child that no
 * fork of the C library's has made (clone, vfork, a bare system call) runs none of them. */
#ifndef SEGUE_PLATFORM_FORK_H
#define SEGUE_PLATFORM_FORK_H

#include <stdbool.h>

enum fork_order {
    /* Closed addresses stand where the parent's code was, before any other hook maps something there. */
    FORK_ADDRESSES,
    /* The fault handler serves the child's only thread under its new number, before any later hook can fault. */
    FORK_HANDLER,
    /* The child closes the descriptors that lead to its parent, and opens its own while it still may. */
    FORK_FILES,
    /* Threads that run guests. */
    FORK_GUESTS,
    /* No page stands open and no breakpoint stands. Signals from outside are held from here to here, so their handlers
     * find the fault handler ready in the child. */
    FORK_CODE,
    /* Who has the lock of the patches changes code: so this one is taken before that of FORK_CODE. */
    FORK_PATCHES,
    /* Suspended threads are not in the child; who changes their handler may take FORK_HANDLER's lock. */
    FORK_SUSPENSION,
    FORK_ORDERS,
};

/* Each may be NULL. */
struct fork_hooks {
    void (*before)(void);
    void (*in_parent)(void);
    void (*in_child)(void);
};

/* Has `hooks`, which must stay, run around each fork from now on; if a fork is in progress, perhaps only those after it.
 * Each order is one module's: another call with the same order changes nothing. False if the system has no memory. Not
 * async-signal-safe; thread-safe. */
bool fork_register(enum fork_order order, const struct fork_hooks *hooks);

#endif
