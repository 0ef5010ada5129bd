/* hot.h: limits of hot sites. <segue/region.h> says what makes a region hot, <segue/patch.h> what
 * became of its sites.
 *
 * SOURCES: docs/hot.md. */
#ifndef SEGUE_HOT_H
#define SEGUE_HOT_H

#include <segue/patch.h>

SEGUE_BEGIN

/* Options of hot sites; a bit set. */
enum segue_hot_flags {
    /* Change nothing but the site that faulted: not the rest of its straight line. */
    SEGUE_HOT_NOT_EAGER = 1,
    /* Change also code that no file holds, or that can be written: a JIT compiler's. It must call
     * segue_patches_undo or segue_patches_forget before it changes such code. */
    SEGUE_HOT_JIT = 2,
};

/* Beyond each limit, further sites go on faulting. All zero bytes are the defaults. */
struct segue_hot_options {
    /* enum segue_hot_flags. */
    uint32_t flags;
    /* How many faults make a site hot. 0: 1. */
    uint32_t threshold;
    /* The most sites, bytes of bodies, and mappings for bodies. 0: 1,048,576; 64 MiB; 8,192. */
    uint64_t most_sites;
    uint64_t most_memory;
    uint64_t most_mappings;
    uint64_t reserved[4];
};

/* Sets the options for sites that become hot from now on; NULL: the defaults. `most_sites` can be
 * set only before the first hot region is added. Returns SEGUE_OK; SEGUE_INVALID for an unknown
 * flag; SEGUE_BUSY for most_sites after that. Not from two threads at the same time; MT-Safe beside
 * everything else, AS-Unsafe. */
SEGUE_API enum segue_status segue_hot_configure(const struct segue_hot_options *options);

SEGUE_END

#endif
