/* hot_site.h: whether an instruction can become a hot site, and by which tactics a jump fits into its bytes. */
#ifndef SEGUE_TOOLS_HOT_SITE_H
#define SEGUE_TOOLS_HOT_SITE_H

#include "instruction.h"

enum hot_tactic {
    HOT_B1,
    HOT_B2,
    HOT_T1,
    HOT_T2,
    HOT_TACTICS,
};

/* A tactic for one site. */
struct hot_way {
    /* For how many addresses of its body the jump can be encoded; 0: for none. */
    uint64_t places;
    /* Then the reason. */
    const char *refusal;
};

struct hot_site {
    /* Why it goes on faulting whatever its bytes are; NULL if it does not. */
    const char *refusal;
    /* Its operand's address is a constant, which can become the alias's without a jump. */
    bool is_constant;
    struct hot_way ways[HOT_TACTICS];
};

/* Looks at the instruction and at the code behind it. */
struct hot_site hot_site_read(const struct instruction *instruction);

/* Prints it in one line or more, each behind `indent` spaces; gives it as a JSON object, which the caller owns. */
void hot_site_print(FILE *out, const struct hot_site *site, int indent);
json_t *hot_site_json(const struct hot_site *site);

#endif
