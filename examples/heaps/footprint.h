/* footprint.h: what of the process's memory belongs to hot sites. */
#ifndef SEGUE_EXAMPLES_HEAPS_FOOTPRINT_H
#define SEGUE_EXAMPLES_HEAPS_FOOTPRINT_H

#include <segue/mapping.h>

struct footprint {
    /* All mappings of the process. */
    uint64_t mappings;
    /* Bytes of shared memory that are present, each counted once however often it is mapped, without the watched
     * memory: the bodies of hot sites have two views, and so are shared memory. */
    uint64_t shared;
};

/* Reads it from /proc/self/smaps; ends the process with a message if that cannot be read. */
struct footprint footprint_read(const struct segue_mapping *watched);

#endif
