/* functions.h: where functions begin and end, from every table that describes them. */
#ifndef SEGUE_TOOLS_PATCH_FUNCTIONS_H
#define SEGUE_TOOLS_PATCH_FUNCTIONS_H

#include "tools/patch/elf/elf.h"

struct functions {
    struct segue_extent *list;
    size_t count, capacity;
};

/* Adds a function, unless it has no size or wraps around. */
void functions_add(struct functions *functions, uint64_t start, uint64_t size);
void functions_sort(struct functions *functions);
void functions_free(struct functions *functions);

/* Adds those of `more` that overlap none of `functions`. Both are sorted before and after. */
void functions_merge(struct functions *functions, const struct functions *more);

/* Those that begin in [start, end): the first one, and how many in `count`. */
const struct segue_extent *functions_select(const struct functions *functions, uint64_t start, uint64_t end,
                                            size_t *count);

/* The tables that describe functions. Each reader adds the functions that it is sure of. It adds none where a table is
 * damaged or of an unknown form, so that code is not trusted. False when reading failed. */
bool functions_from_unwind(const struct elf_object *object, const struct elf_section *section,
                           struct functions *functions);
bool functions_from_go(const struct elf_object *object, const struct elf_section *section, struct functions *functions);
bool functions_from_symbols(const struct elf_object *object, struct functions *functions);

#endif
