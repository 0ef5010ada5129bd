/* functions.h: the functions of a loaded module, by its unwind table, and by segment. */
#ifndef SEGUE_PATCH_FUNCTIONS_H
#define SEGUE_PATCH_FUNCTIONS_H

#include <segue/segment.h>

#include "platform/code.h"

/* The functions that the module's unwind table lists, sorted, from malloc; NULL without any, or without memory: then
 * `*count` is not 0. Not async-signal-safe. */
struct segue_extent *functions_of(const struct platform_module *module, size_t *count);

/* The segment of that number (platform_module_code), with those functions of the sorted ones that begin in it. False if
 * there are no more. */
bool functions_segment(const struct platform_module *module, unsigned number, const struct segue_extent *functions,
                       size_t count, struct segue_segment_code *segment);

#endif
