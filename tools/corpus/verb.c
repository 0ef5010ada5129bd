/* verb.c: `segue corpus`: calls the subcommand that the first argument names. */
#include <string.h>

#include "tools/support/message.h"
#include "tools/support/output/output.h"
#include "tools/support/room.h"
#include "tools/support/verb.h"
#include "verbs.h"

static const struct {
    const char *name;
    int (*run)(int argument_count, char **arguments);
} verbs[] = {
    {"build", corpus_verb_build}, {"check", corpus_verb_check}, {"stat", corpus_verb_stat},
    {"diff", corpus_verb_diff},   {"merge", corpus_verb_merge}, {"report", corpus_verb_report},
};

static int run_corpus(int argument_count, char **arguments)
{
    const char *names[sizeof verbs / sizeof *verbs];
    size_t count = sizeof verbs / sizeof *verbs;
    output_claim_descriptors();
    if (argument_count < 2)
        return misuse("corpus", "what is to be done is missing; say build, check, report, merge, diff or stat");
    for (size_t i = 0; i < count; i++) {
        names[i] = verbs[i].name;
        if (strcmp(names[i], arguments[1]) == 0)
            return with_room(verbs[i].run, argument_count - 1, arguments + 1);
    }
    const char *near = suggest(arguments[1], names, count);
    if (near)
        return misuse("corpus", "there is no '%s'; did you mean %s?", arguments[1], near);
    return misuse("corpus", "there is no '%s'; say build, check, report, merge, diff or stat", arguments[1]);
}

const struct verb corpus_verb = {&corpus_words, run_corpus};
