/* verb.h: what main and the verbs of the command share. A verb is one file that defines one struct verb; a line in
 * main.c's table adds it. */
#ifndef SEGUE_TOOLS_VERB_H
#define SEGUE_TOOLS_VERB_H

/* What the command exits with. */
enum exit_code {
    EXIT_DONE = 0,
    /* What was asked for could not be done, or not all of it. */
    EXIT_FAILED = 1,
    /* The command line makes no sense. */
    EXIT_USAGE = 2,
};

struct verb {
    const char *name;
    /* What follows the name in a usage line. */
    const char *arguments;
    /* One line, for the list of verbs. */
    const char *summary;
    /* The rest of what `segue help NAME` prints: whole lines. */
    const char *details;
    /* `arguments[0]` is the verb's own name. Returns an enum exit_code. */
    int (*run)(int argument_count, char **arguments);
};

extern const struct verb explain_verb, doctor_verb, demo_verb, corpus_verb, patch_verb, run_verb;

#endif
