/* maps.h: the list of the process's mappings (platform/mappings.h), through a descriptor that is kept. */
#ifndef SEGUE_RUN_MAPS_H
#define SEGUE_RUN_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/memory/mappings.h"

struct maps {
    struct mappings list;
    bool is_kept;
    char piece[4096];
};

/* Opens a descriptor that is kept, above the program's own, so that no other thread finds its lowest free descriptor
 * taken for a moment. To be called on the process's only thread: at its start, and in a child of fork.
 * Async-signal-safe. */
void maps_keep(void);

/* In a child that shares the parent's descriptors: the parent's descriptor stays open, and none is kept. */
void maps_forget(void);

/* As mappings_open and mappings_close. Async-signal-safe; with the lock held. */
bool maps_open(struct maps *maps);
bool maps_next(struct maps *maps, struct mapping *mapping);
void maps_close(struct maps *maps);

/* The file of the mapping that holds the address (struct mapping); 0 without one. Async-signal-safe; with the lock
 * held. */
uint64_t maps_file_of(uint64_t address);

#endif
