/* memory.h: the memory of a subject: the bytes that it accesses, in the areas and at the aliases, which are other
 * memory; and its stack. */
#ifndef SEGUE_TESTS_BODIES_MEMORY_H
#define SEGUE_TESTS_BODIES_MEMORY_H

#include "subject.h"

/* Maps the aliases and a stack. False if the places are taken. */
bool memory_map(void);

/* Where the alias of an area is, and of an address in the subject's. */
char *memory_shadow_of(const struct area *area, enum variant variant);
void *memory_shadow_at(uint64_t address, enum variant variant);

/* Finds what the case accesses. False if it is too much, or not known, or if the operand lies in another access's
 * bytes. */
bool memory_find_footprint(void);

/* Keeps the bytes of each access as they are, and as the case begins with; as the row leaves them. */
void memory_save_before(void);
void memory_save_after(void);
/* Puts the bytes of each access in place, as they were or as the case begins with: the operand's to the aliases, too.
 */
void memory_put(bool clean);
/* Whether the memory of each access is as it was before the row, or after it; the operand's at the alias, if `led`. */
bool memory_is(bool after, bool led, enum variant variant);

/* Chooses what the access before the row loads: outside the region, or inside, in no byte of the row's accesses or of
 * the stack. False if the code does not reach it. */
bool memory_choose_other(struct random *random);

/* Finds a stack where a frame has room: the test's, if the instruction does not use RSP; else below its own. */
bool memory_choose_stack(struct random *random);
/* Makes the stack as it is before each run. */
void memory_clean_stack(void);
bool memory_red_zone_is_kept(void);

#endif
