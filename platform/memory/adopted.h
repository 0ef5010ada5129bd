/* adopted.h: memory that is mapped already gets a second view, in place, and loses it again.
 *
 * The contents are copied, so no other thread may access the pages meanwhile. Addresses and sizes are multiples of
 * platform_page_size(), and sizes are greater than 0. */
#ifndef SEGUE_PLATFORM_ADOPTED_H
#define SEGUE_PLATFORM_ADOPTED_H

#include <segue/status.h>

struct adoption {
    uint64_t at, size;
    /* The second view. */
    uint64_t alias;
};

/* Reserves `whole` bytes of inaccessible addresses, of which each is at most PLATFORM_VIEWS_NEAR from each of the
 * `size` bytes at `at`, as far from there as that permits. Returns 0 if there is no room. Thread-safe. */
uint64_t platform_reserve_near(uint64_t at, uint64_t size, uint64_t whole);

/* What the pages are not fit for; NULL if they can be adopted. Thread-safe. */
const char *platform_adopt_refusal(uint64_t at, uint64_t size);

/* Puts shared memory with the same contents in place of the pages, with their protections, and makes a view of it at
 * `alias`, which must be reserved, with the same protections. Pages that were never touched take no memory. Returns 0,
 * or a negative error number; then all is as it was. Async-signal-safe. */
long platform_adopt(const struct adoption *adoption);

/* Puts private memory with the same contents in place of the pages, with the protections of the second view, which
 * becomes inaccessible. Returns as platform_adopt; after an error, some pages may still have their second view.
 * Async-signal-safe. */
long platform_release(const struct adoption *adoption);

/* In a child made by fork: the pages get a second view of their own, with the present contents and protections. Until
 * then the parent's and the child's are the same memory. If there is no memory, the child has no access to the pages.
 * Async-signal-safe. */
void platform_adopt_anew(const struct adoption *adoption);

#endif
