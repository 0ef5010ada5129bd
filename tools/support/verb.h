/* verb.h: what main and the verbs of the command share. A verb is one file that defines one struct verb; a line in
 * the table of verbs.c adds it. */
#ifndef SEGUE_TOOLS_VERB_H
#define SEGUE_TOOLS_VERB_H

#include "tools/command_line/command_line.h"

/* What the command exits with. */
enum exit_code {
    EXIT_DONE = 0,
    /* What was asked for could not be done, or not all of it. */
    EXIT_FAILED = 1,
    /* The command line makes no sense. */
    EXIT_USAGE = 2,
    /* It was done, and with --strict a site that looks real was not changed. */
    EXIT_LEFT_ALONE = 3,
};

struct verb {
    /* Its name, its options, and what is said of them. */
    const struct verb_words *words;
    /* `arguments[0]` is the verb's own name. Returns an enum exit_code. */
    int (*run)(int argument_count, char **arguments);
};

/* All of them, in the order in which they are listed; at most 15. */
extern const struct verb *const command_verbs[];
extern const size_t command_verb_count;

extern const struct verb explain_verb, doctor_verb, demo_verb, corpus_verb, patch_verb, run_verb, watch_verb;

#endif
