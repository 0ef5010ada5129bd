/* inherited.h: what a child made by fork has of memory with two views (memory.h): shares it, if nothing is said here.
 *
 * A copy is made by the thread that forks, right before the fork: it reads the pages that are populated, and no others,
 * into a new file; the child maps that file in place of its parent's, mapping by mapping, with the same protection. A
 * child that cannot do so has no access to the memory. */
#ifndef SEGUE_PLATFORM_INHERITED_H
#define SEGUE_PLATFORM_INHERITED_H

#include "platform/memory/memory.h"

enum inherited_kind {
    INHERITED_COPY,
    /* Addresses alone, without access. */
    INHERITED_NOTHING,
};

struct inherited {
    enum inherited_kind kind;
    struct platform_views views;
    uint64_t size;
    /* INHERITED_COPY: the memory's file, which is this module's from now on, and its name for /proc. */
    int file;
    char name[32];
    /* Core dumps omit the first view, or the second; huge pages are wanted. */
    bool omits_first, omits_second, wants_huge_pages;
};

/* From the next fork on. Returns 0, or a negative error number: -ENOTSUP if the system cannot do that. Not
 * async-signal-safe. */
long inherited_add(const struct inherited *memory);

/* The views are about to be unmapped: forgets the memory whose first view is `first`, and closes its file. Not
 * async-signal-safe. */
void inherited_remove(uint64_t first);

#endif
