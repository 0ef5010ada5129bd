/* rewrite.h: which byte of an instruction changes, and to what. Pure. */
#ifndef SEGUE_PATCH_REWRITE_H
#define SEGUE_PATCH_REWRITE_H

#include <segue/segment.h>

/* Whether the two segments are FS and GS. */
bool rewrite_is_valid(struct segue_rewrite rewrite);

/* The prefix that names `segment`, FS or GS. */
uint8_t rewrite_prefix(enum segue_segment segment);

/* Whether an operand of `insn` that is accessed goes through `segment` by its prefix. */
bool rewrite_goes_through(const struct segue_insn *insn, enum segue_segment segment);

/* If `insn` goes through rewrite.from, or names its base, fills kind, index, old_byte and new_byte of `site`. */
bool rewrite_find(const struct segue_insn *insn, struct segue_rewrite rewrite, struct segue_site *site);

#endif
