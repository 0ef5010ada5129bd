/* place.h: a place in a file, as FILE:ADDRESS or FILE:SYMBOL; and what explain.c does with code from there. */
#ifndef SEGUE_TOOLS_PLACE_H
#define SEGUE_TOOLS_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "instruction.h"

#define EXPLAIN_VERB "explain"

struct explain_options {
    /* At most so many instructions. */
    size_t count;
    bool count_given;
    bool hot;
    bool json;
    enum segue_mode mode;
    bool mode_given;
};

/* What is to be explained: of `code`, the instructions that begin below `end`. */
struct task {
    struct code code;
    size_t end;
    size_t count;
    /* In a file a byte that begins no instruction is skipped; typed bytes that do not begin one end it all. */
    bool skips;
    /* Its instructions are also looked at as hot sites. */
    bool hot;
};

/* Explains it; returns an enum exit_code. */
typedef int explain_function(struct task *task, const struct explain_options *options);

/* The colon that parts FILE from PLACE; NULL without one: the argument is bytes. */
const char *place_colon(const char *argument);

/* Explains what is at FILE:PLACE, with the colon at `colon`; returns an enum exit_code. */
int place_explain(const char *argument, const char *colon, const struct explain_options *options,
                  explain_function *explain);

/* Gives standard input, as "-:main", a name that is not an option to getopt. */
void place_name_input(int argument_count, char **arguments);

#endif
