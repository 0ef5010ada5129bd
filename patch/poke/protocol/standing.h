/* standing.h: the breakpoints of changes in progress, for threads that hit them (poke.h: poke_trap).
 *
 * One thread at a time announces and withdraws, with the lock of code held (lock.h); others read without a lock. */
#ifndef SEGUE_PATCH_STANDING_H
#define SEGUE_PATCH_STANDING_H

#include "emulated.h"
#include "patch/poke/change.h"

/* The most at once. */
#define STANDING_MOST 256u

struct standing {
    uint64_t site;
    /* What a thread executes that is trapped there. */
    struct emulated emulated;
};

/* Before the first of these breakpoints is in place. `standing` is in ascending order of sites. Async-signal-safe. */
void standing_announce(const struct standing *standing, size_t count);

/* After the last of them is gone. Async-signal-safe. */
void standing_withdraw(void);

/* As poke_trap; as poke_site_of. */
bool standing_trap(struct poke_thread *thread);
uint64_t standing_site_of(uint64_t rip);

#endif
