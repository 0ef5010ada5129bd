/* protection.h: what protection a page has now. */
#ifndef SEGUE_SYSTEM_PROTECTION_H
#define SEGUE_SYSTEM_PROTECTION_H

#include <segue/status.h>

/* One mapping of the process. */
struct protection_mapping {
    uint64_t start, end;
    /* enum platform_access (memory.h). */
    int protection;
    bool shared;
};

/* Finds the mapping that holds `address`. False if there is none, or if the kernel does not tell. Async-signal-safe. */
bool protection_find(uint64_t address, struct protection_mapping *mapping);

#endif
