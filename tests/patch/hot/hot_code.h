/* hot_code.h: functions of random instructions, whose sites become hot while they run, and a builder of bodies for
 * them: a copy of one instruction, a mark that it was executed, and a jump back. What this cannot show is a body of
 * several instructions: those are emulate/body's. Each case runs in a child (in_child.h), since sites are the
 * process's. */
#ifndef SEGUE_TESTS_HOT_CODE_H
#define SEGUE_TESTS_HOT_CODE_H

#include "tests/support/in_child.h"

#include "patch/hot/hot.h"

#define FUNCTIONS 64u
#define INSTRUCTIONS 24u
#define FUNCTION_BYTES 256u
#define CODE_BYTES (FUNCTIONS * FUNCTION_BYTES)
/* A jump to the next instruction, of which the builder makes no body. */
#define BRANCH 0xeb

typedef uint64_t function(uint64_t *memory);

/* The code as it was written, and where it is; its file, which can be mapped again; what its functions return; the
 * addresses of all instructions. */
extern uint8_t original[CODE_BYTES], *code;
extern int code_file;
extern uint64_t expected[FUNCTIONS], sites[FUNCTIONS * INSTRUCTIONS];
extern unsigned site_count;

uint64_t run_function(unsigned i);

/* Makes the code, and reserves what hot sites need; NULL: for 4,096 sites. */
void prepare(uint64_t seed, const struct hot_limits *limits);

/* Some bodies need more than the usual room. */
enum segue_status build(void *context, uint64_t site, uint64_t at, uint8_t *out, size_t room, struct hot_built *built);
extern const struct hot_builder builder;

enum segue_status make_one(uint64_t site, const char **refusal);
/* Returns how many sites are hot. */
unsigned make_all(void);

/* All functions return what they did, by the bodies; the code reads as it was; tables and code agree. Counts the hot
 * sites of each tactic. */
void expect_all(unsigned tactics[5]);

#endif
