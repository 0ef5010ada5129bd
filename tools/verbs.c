/* verbs.c: the verbs of the command. */
#include "tools/support/verb.h"

const struct verb *const command_verbs[] = {
    &explain_verb, &doctor_verb, &demo_verb, &patch_verb, &run_verb, &watch_verb, &corpus_verb,
};
const size_t command_verb_count = sizeof command_verbs / sizeof *command_verbs;
