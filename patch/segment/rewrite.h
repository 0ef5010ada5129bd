/* rewrite.h: which byte of an instruction changes, and to which value. Pure. */
#ifndef SEGUE_PATCH_REWRITE_H
#define SEGUE_PATCH_REWRITE_H

#include <segue/segment.h>

/* Whether the two segments are FS and GS, in either order. */
bool rewrite_is_valid(struct segue_rewrite rewrite);

/* The prefix that names `segment`, FS or GS. */
uint8_t rewrite_prefix(enum segue_segment segment);

/* Whether an accessed operand of `insn` uses `segment` by its prefix. */
bool rewrite_goes_through(const struct segue_insn *insn, enum segue_segment segment);

/* If `insn` accesses memory through rewrite.from, or reads or writes its base, fills in kind, index, old_byte and
 * new_byte of `site`. */
bool rewrite_find(const struct segue_insn *insn, struct segue_rewrite rewrite, struct segue_site *site);

#endif
