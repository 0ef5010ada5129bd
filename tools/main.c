/* main.c: the segue command. Finds the verb and runs it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "verb.h"

static const struct verb *const verbs[] = {
    &explain_verb, &doctor_verb, &demo_verb, &patch_verb, &run_verb, &corpus_verb,
};

#define VERB_COUNT (sizeof verbs / sizeof *verbs)

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static void list_verbs(FILE *out)
{
    fputs("usage: segue VERB [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    fputs("  help       tells more about a verb: segue help VERB\n"
          "  --version  prints the version\n",
          out);
}

static void print_help(const struct verb *verb)
{
    printf("usage: segue %s %s\n\n%s", verb->name, verb->arguments, verb->details);
}

static int unknown_verb(const char *name)
{
    complain(NULL, "there is no verb '%s'; the verbs are:", name);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(stderr, "  %s\n", verbs[i]->name);
    fputs("Try: segue help\n", stderr);
    return EXIT_USAGE;
}

static int help(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        list_verbs(stdout);
        return EXIT_DONE;
    }
    if (argument_count > 2)
        return misuse(NULL, "help takes one verb at a time, and '%s' is one more", arguments[2]);
    const struct verb *verb = find_verb(arguments[1]);
    if (!verb)
        return unknown_verb(arguments[1]);
    print_help(verb);
    return EXIT_DONE;
}

static int run(int argument_count, char **arguments)
{
    const char *name = arguments[0];
    if (strcmp(name, "--version") == 0) {
        puts("segue " SEGUE_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argument_count, arguments);
    const struct verb *verb = find_verb(name);
    if (!verb)
        return unknown_verb(name);
    if (argument_count > 1 && (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0)) {
        print_help(verb);
        return EXIT_DONE;
    }
    return verb->run(argument_count, arguments);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        list_verbs(stderr);
        return EXIT_USAGE;
    }
    int code = run(argument_count - 1, arguments + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain(NULL, "cannot write to standard output: %s", strerror(errno));
        return EXIT_FAILED;
    }
    return code;
}
