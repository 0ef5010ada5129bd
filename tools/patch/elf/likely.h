/* likely.h: whether untrusted bytes look like an instruction that compilers make. */
#ifndef SEGUE_TOOLS_PATCH_LIKELY_H
#define SEGUE_TOOLS_PATCH_LIKELY_H

#include <segue/segment.h>

/* Whether the site, at `at` in the code, is most likely a real access to thread-local storage: its address looks like
 * one (no register, and a displacement near the segment's base), or an instruction just before loaded its base register
 * with a variable's offset; or it is RDFSBASE or one of its kind. Tables of constants that decode by chance are hardly
 * ever likely. */
bool site_is_likely(const struct segue_segment_code *code, size_t at, const struct segue_site *site);

#endif
