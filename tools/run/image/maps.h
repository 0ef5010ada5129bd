/* maps.h: the kernel's list of the process's mappings. */
#ifndef SEGUE_RUN_MAPS_H
#define SEGUE_RUN_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
    uint64_t start, end, offset;
    /* Device and inode; 0 for a mapping without a file. */
    uint64_t file;
    /* PROT_READ, PROT_WRITE, PROT_EXEC. */
    int protection;
    /* MAP_SHARED: other mappings of the file show what is written here. */
    bool is_shared;
};

struct maps {
    int file;
    bool is_kept;
    size_t at, held;
    char piece[4096];
};

/* Opens a descriptor that is kept, above the program's own, so that no other thread finds its lowest free descriptor
 * taken for a moment. To be called on the process's only thread: at its start, and in a child of fork.
 * Async-signal-safe. */
void maps_keep(void);

/* In a child that shares the parent's descriptors: the parent's descriptor stays open, and none is kept. */
void maps_forget(void);

/* maps_open begins to read the list; false if the kernel does not show it. maps_next returns each mapping in turn, by
 * address; false after the last. Async-signal-safe; with the lock held. */
bool maps_open(struct maps *maps);
bool maps_next(struct maps *maps, struct mapping *mapping);
void maps_close(struct maps *maps);

/* The file of the mapping that holds the address (struct mapping); 0 without one. Async-signal-safe; with the lock
 * held. */
uint64_t maps_file_of(uint64_t address);

#endif
