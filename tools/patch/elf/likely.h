/* likely.h: whether bytes that are not known to be an instruction look like one that a compiler makes. */
#ifndef SEGUE_TOOLS_PATCH_LIKELY_H
#define SEGUE_TOOLS_PATCH_LIKELY_H

#include <segue/segment.h>

/* Whether the site, at `at` in the code, is most likely a real access to thread-local storage: it has the address of
 * one (no register, and a displacement that is near to the segment's base), or its base register was just loaded with
 * the offset of a variable; or it is RDFSBASE or its like. Tables of constants that happen to decode hardly ever do. */
bool site_is_likely(const struct segue_segment_code *code, size_t at, const struct segue_site *site);

#endif
