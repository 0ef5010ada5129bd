/* closed.h: a page that no thread may touch, and that has an alias. */
#ifndef SEGUE_TESTS_CLOSED_H
#define SEGUE_TESTS_CLOSED_H

#include <segue/segue.h>
#include <stdbool.h>
#include <sys/mman.h>

#define CLOSED_SIZE 4096u

/* Makes a page, adds it as a region with this policy, which may be NULL, and closes it. */
static inline bool closed_add(struct segue_mapping *mapping, segue_policy *policy)
{
    if (segue_mapping_create(NULL, CLOSED_SIZE, mapping) != SEGUE_OK)
        return false;
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)mapping->memory,
                                             .size = mapping->size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping->alias},
                                  .policy = policy};
    return segue_region_add(&region) == SEGUE_OK && mprotect(mapping->memory, CLOSED_SIZE, PROT_NONE) == 0;
}

#endif
