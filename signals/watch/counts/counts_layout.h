/* counts_layout.h: the table of counts in memory, for its readers in another process, too. */
#ifndef SEGUE_SIGNALS_WATCH_COUNTS_LAYOUT_H
#define SEGUE_SIGNALS_WATCH_COUNTS_LAYOUT_H

#include <segue/watch.h>

#define COUNTS_PLACE_BITS 18
#define COUNTS_PLACES (UINT32_C(1) << COUNTS_PLACE_BITS)
/* Below a watch's number: hot sites are in code of files, which has addresses of fewer bits. */
#define COUNTS_SITE_BITS (64 - 17)

/* One place more, whose reads are the accesses for which there was no place. */
#define COUNTS_SIZE ((COUNTS_PLACES + 1) * sizeof(struct counts_place))

struct counts_place {
    /* The instruction, and above it the watch's number; 0: free. */
    uint64_t key;
    uint64_t reads, writes;
};

#endif
