/* adopted.h: memory that is mapped already gets a second view, in place, and loses it again. The mapping that was there
 * is kept elsewhere meanwhile, and put back: so it is the same mapping afterwards, of the same file, with what the
 * program has advised or locked.
 *
 * The contents of private memory are copied, so no other thread may access the pages meanwhile. Of shared memory the
 * views are further mappings of the same pages. Addresses and sizes are multiples of platform_page_size(), and sizes
 * are greater than 0. */
#ifndef SEGUE_PLATFORM_ADOPTED_H
#define SEGUE_PLATFORM_ADOPTED_H

#include <segue/status.h>

struct adoption {
    uint64_t at, size;
    /* The second view; and where the mapping is kept that was there before. Its protections are the program's. */
    uint64_t alias, kept;
    /* Nothing was ever written to the pages: there is nothing to copy. */
    bool is_new;
};

/* Reserves `whole` bytes of inaccessible addresses, of which each is at most PLATFORM_VIEWS_NEAR from each of the
 * `size` bytes at `at`: beside earlier reservations, or else as far from there as that permits. Returns 0 if there is
 * no room. Not thread-safe. */
uint64_t platform_reserve_near(uint64_t at, uint64_t size, uint64_t whole);
/* Gives such a reservation back, whatever is mapped there by now. Once all are, the next ones are where the first were.
 * Not thread-safe. */
void platform_unreserve_near(uint64_t reserved, uint64_t whole);

/* What the pages are not fit for; NULL if they can be adopted. Thread-safe. */
const char *platform_adopt_refusal(uint64_t at, uint64_t size);

/* Puts shared memory with the same contents in place of the pages, with their protections, and makes a view of it at
 * `alias`, with the same protections; what was there moves to `kept`. Both must be reserved. Pages that were never
 * touched take no memory. Returns 0, or a negative error number; then all is as it was. Async-signal-safe. */
long platform_adopt(const struct adoption *adoption);

/* Puts the mapping back that was kept, with the present contents, and the protections of the second view, which becomes
 * inaccessible. Also for a part of what was adopted. Returns as platform_adopt; after an error, some pages may still
 * have their second view. Async-signal-safe. */
long platform_release(const struct adoption *adoption);

/* The program has dropped pages of the kept mapping: the two views show what it shows now. Also for a part. Returns as
 * platform_adopt. Async-signal-safe. */
long platform_adopt_refresh(const struct adoption *adoption);

/* In a child made by fork: pages of private memory get a second view of their own, with the present contents and
 * protections. Until then the parent's and the child's are the same memory. If there is no memory, the child has no
 * access to the pages. Async-signal-safe. */
void platform_adopt_anew(const struct adoption *adoption);

#endif
