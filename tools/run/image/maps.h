/* maps.h: the kernel's list of the process's mappings. */
#ifndef SEGUE_RUN_MAPS_H
#define SEGUE_RUN_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
    uint64_t start, end, offset;
    /* Device and inode; 0 for none. */
    uint64_t file;
    /* PROT_READ, PROT_WRITE, PROT_EXEC. */
    int protection;
    /* Whoever else maps the file sees what is written. */
    bool is_shared;
};

struct maps {
    int file;
    bool is_kept;
    size_t at, held;
    char piece[4096];
};

/* Opens a descriptor that is kept, above those that the program gets, so that no other thread finds its lowest one
 * taken for a moment. On the process's first thread, while it has no other: at its start, and in a child of fork.
 * Async-signal-safe. */
void maps_keep(void);

/* The same where the descriptors are shared with the parent: its own stays, and none is kept. */
void maps_forget(void);

/* Begins to read the list; false if the kernel does not show it. Each mapping in turn, by address; false behind the
 * last. Async-signal-safe; with the lock held. */
bool maps_open(struct maps *maps);
bool maps_next(struct maps *maps, struct mapping *mapping);
void maps_close(struct maps *maps);

/* The file of the mapping that holds the address (struct mapping); 0 for none. The same. */
uint64_t maps_file_of(uint64_t address);

#endif
