/* fork.h: what the library's modules do around fork(2): one registry, with the order in a table.
 *
 * Before a fork the hooks run from the highest number to the lowest; after it, in the parent and in the child, from the
 * lowest to the highest. So a module that may be called with another's lock held has the smaller number. A child that
 * was not made by the C library's fork (but by clone, vfork, a bare system call) runs none of them. */
#ifndef SEGUE_PLATFORM_FORK_H
#define SEGUE_PLATFORM_FORK_H

#include <stdbool.h>

enum fork_order {
    /* The child reserves, by inaccessible pages, the addresses of the parent's code, before any other hook maps
     * there. */
    FORK_ADDRESSES,
    /* The fault handler learns the new TID of the child's only thread, before any later hook can fault. */
    FORK_HANDLER,
    /* The child gets memory of its own in place of what it shares with its parent; until then the parent waits. */
    FORK_ADOPTED,
    /* The child closes the descriptors for its parent's memory, and opens its own while it still may. */
    FORK_FILES,
    /* The child gets memory of its own for mappings with two views. */
    FORK_MAPPINGS,
    /* Threads that run guests. */
    FORK_GUESTS,
    /* No page is open and no breakpoint is placed during the fork. From this hook before the fork to this hook after
     * it asynchronous signals are blocked, so that their handlers find the fault handler ready in the child. */
    FORK_CODE,
    /* The thread that makes sites hot changes code: so its lock is taken before that of FORK_CODE. The parent's bodies
     * are shared with the child from here on. */
    FORK_HOT,
    /* The owner of the lock of the patches changes code: so this lock is taken before that of FORK_CODE. */
    FORK_PATCHES,
    /* The child has none of the suspended threads; a change of their handler may take FORK_HANDLER's lock. */
    FORK_SUSPENSION,
    /* Blocks of the heap come and go: their lock is taken for moments, and no other one meanwhile. */
    FORK_BLOCKS,
    FORK_ORDERS,
};

/* Each may be NULL. */
struct fork_hooks {
    void (*before)(void);
    void (*in_parent)(void);
    void (*in_child)(void);
};

/* Registers `hooks`, which must stay valid, for each fork from now on; if a fork is in progress, perhaps only for
 * later ones. Each order belongs to one module: another call with the same order changes nothing. False if the system
 * has no memory. Not async-signal-safe; thread-safe. */
bool fork_register(enum fork_order order, const struct fork_hooks *hooks);

/* What the C library's fork runs, for a fork that it does not make. By the thread that forks, in this order; nothing
 * but the fork itself may come between. Not async-signal-safe. */
void fork_run_before(void);
void fork_run_in_parent(void);
void fork_run_in_child(void);

#endif
