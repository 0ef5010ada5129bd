/* access.h: the checked access of a body: inside its region, in line; in another region or in none, out of line. */
#ifndef SEGUE_EMULATE_BODY_ACCESS_H
#define SEGUE_EMULATE_BODY_ACCESS_H

#include "builder.h"

/* The current instruction, whose access is to be checked. One that cannot be made at the alias is copied as the program
 * wrote it; the block ends before it if it is a transfer. */
void access_build(struct builder *builder, const struct block_instruction *instruction);

/* An entry: the first access from its address on. Only if the builder has its joint. */
void access_build_entry(struct builder *builder, enum body_entry entry);

/* The access of PENDING_OUTSIDE: looked up in other regions if the body does so, else as the program wrote it. */
void access_build_outside(struct builder *builder, const struct pending *pending);

/* Goes on behind the access in line. */
void access_join(struct builder *builder, const struct pending *pending);

#endif
