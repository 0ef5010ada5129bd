/* plural.h: the ending of a noun behind a number. */
#ifndef SEGUE_TOOLS_PLURAL_H
#define SEGUE_TOOLS_PLURAL_H

#include <stdint.h>

static inline const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

#endif
