/* verbs.c: the verbs of the command on Windows: two, and the names of the others, which say why they are not there. */
#if !defined(_WIN32)
#error "tools/windows/verbs.c is specific to Windows"
#endif

#include "tools/support/message.h"
#include "tools/support/verb.h"

static int refuse(int argument_count, char **arguments)
{
    (void)argument_count;
    complain(arguments[0], "it is not there on Windows; segue help lists what is");
    return EXIT_FAILED;
}

static const struct verb demo = {&demo_words, refuse};
static const struct verb patch = {&patch_words, refuse};
static const struct verb run = {&run_words, refuse};
static const struct verb watch = {&watch_words, refuse};
static const struct verb corpus = {&corpus_words, refuse};

const struct verb *const command_verbs[] = {&explain_verb, &doctor_verb, &demo, &patch, &run, &watch, &corpus};
const size_t command_verb_count = sizeof command_verbs / sizeof *command_verbs;
