/* bodies.h: the bodies of a subject, one for each way to run it, and what they read. */
#ifndef SEGUE_TESTS_BODIES_H
#define SEGUE_TESTS_BODIES_H

#include "subject.h"

/* In the oracle's code. */
#define BODIES (BATCH_CODE_ADDRESS + 1024u)
#define BODY_ROOM 1800u

/* False without memory at the places that are needed. */
bool bodies_prepare(void);

uint64_t bodies_address(enum variant variant);

/* Whether the address is in the variant's bodies. */
bool bodies_contain(enum variant variant, uint64_t address);
/* As body_translate, in any of them. */
bool bodies_translate(enum variant variant, struct segue_regs *regs, struct body_place *place);

/* Builds the body, and the one behind it; what it reads is then described for that region. */
void bodies_build(enum variant variant);
void bodies_describe_region(enum variant variant);

/* The accesses that bodies have counted and asked about since. */
void bodies_clear_counts(void);
uint64_t bodies_counted(void);
uint64_t bodies_asked(void);

#endif
