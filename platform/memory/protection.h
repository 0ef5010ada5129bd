/* protection.h: finds a page's present protection. */
#ifndef SEGUE_PLATFORM_PROTECTION_H
#define SEGUE_PLATFORM_PROTECTION_H

#include <segue/status.h>

/* One mapping of the process. */
struct protection_mapping {
    uint64_t start, end;
    /* enum platform_access (memory.h). */
    int protection;
    bool shared;
};

/* Finds the mapping that holds `address`. False if it is not mapped, or if the kernel does not report it.
 * Async-signal-safe. */
bool protection_find(uint64_t address, struct protection_mapping *mapping);

#endif
