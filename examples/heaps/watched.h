/* watched.h: memory whose accesses are all seen, and in which way. */
#ifndef SEGUE_EXAMPLES_HEAPS_WATCHED_H
#define SEGUE_EXAMPLES_HEAPS_WATCHED_H

#include <segue/segue.h>

enum watched_way {
    /* The pages are open, and no access is seen. */
    WATCHED_NOT,
    /* The pages are closed, and every access is stepped in the handler. */
    WATCHED_STEPPED,
    /* The same, and code that faults becomes a hot site, which accesses the memory by its alias. */
    WATCHED_HOT,
    /* The same, and hot sites count. */
    WATCHED_COUNTED,
    /* Hot sites ask a function in C, which counts. */
    WATCHED_POLICY,
    WATCHED_WAYS,
};

/* What was seen so far. */
struct watched_counts {
    /* Each with a signal; and of them those whose access was stepped: the others made it again, at a site that had
     * become hot. */
    uint64_t faults, stepped;
    /* Without one, at hot sites; only with WATCHED_COUNTED and WATCHED_POLICY. */
    uint64_t counted;
};

/* The sites that are hot, and those that cannot be for a reason. */
struct watched_sites {
    uint64_t hot, refused;
};

/* Makes the memory, open. The handler is installed when it is first watched: Valgrind can run a plain program. Returns
 * SEGUE_OK or the status of what failed. */
enum segue_status watched_create(size_t size);

/* The memory, from watched_create on. */
const struct segue_mapping *watched_mapping(void);

/* Closes all of the memory and lets its accesses be seen; with WATCHED_NOT does nothing. Every begin has its end, which
 * opens the memory. `patience` is opened_begin's. Returns SEGUE_OK or the status of what failed. */
enum segue_status watched_begin(enum watched_way way, unsigned patience);
enum segue_status watched_end(void);

/* What was seen since the program's start, and since `before` was read. */
struct watched_counts watched_read(void);
struct watched_counts watched_since(const struct watched_counts *before);

/* The sites that there are now. */
struct watched_sites watched_sites(void);

#endif
