/* sites.h: a table of the addresses of system calls, which threads and their handlers fill at the same time without a
 * lock. An address that has a place keeps it. */
#ifndef SEGUE_LINUX_CALLS_SITES_H
#define SEGUE_LINUX_CALLS_SITES_H

#if !defined(__linux__)
#error "platform/linux/calls/sites.h is specific to Linux"
#endif

#include <stdbool.h>
#include <stdint.h>

/* The place of an address, given to it if it has none yet: one of `probes` that follow from the address. `count` if
 * others have them all. */
static inline unsigned sites_place(uint64_t *sites, unsigned count, unsigned probes, uint64_t address)
{
    const unsigned first = (unsigned)((address * 0x9e3779b97f4a7c15u) >> 40) % count;
    for (unsigned i = 0; i < probes; i++) {
        const unsigned number = (first + i) % count;
        uint64_t present = __atomic_load_n(&sites[number], __ATOMIC_RELAXED);
        if (present == 0)
            __atomic_compare_exchange_n(&sites[number], &present, address, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        if (present == 0 || present == address)
            return number;
    }
    return count;
}

#endif
