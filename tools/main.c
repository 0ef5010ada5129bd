/* main.c: the segue command. Finds the verb and runs it. */
#include <errno.h>
#include <segue/status.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/support/message.h"
#include "tools/support/verb.h"

#define VERBS_MOST 15

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < command_verb_count; i++)
        if (strcmp(command_verbs[i]->words->name, name) == 0)
            return command_verbs[i];
    return NULL;
}

static void list_verbs(FILE *out)
{
    fputs("usage: segue VERB [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < command_verb_count; i++)
        fprintf(out, "  %-10s %s\n", command_verbs[i]->words->name, command_verbs[i]->words->summary);
    fputs("  help       says more about a verb: segue help VERB\n"
          "  --version  prints the version\n",
          out);
}

static int unknown_verb(const char *name)
{
    const char *names[VERBS_MOST + 1];
    char list[256] = "";
    for (size_t i = 0; i < command_verb_count; i++) {
        names[i] = command_verbs[i]->words->name;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s %s", i ? "," : "", names[i]);
    }
    names[command_verb_count] = "help";
    const char *near = suggest(name, names, command_verb_count + 1);
    if (near)
        return misuse(NULL, "there is no verb '%s'; did you mean %s? The verbs are:%s", name, near, list);
    return misuse(NULL, "there is no verb '%s'; the verbs are:%s", name, list);
}

static const struct verb_words *find_part(const struct verb_words *words, const char *name)
{
    size_t length = strlen(words->name) + 1;
    for (const struct verb_words *const *part = words->parts; part && *part; part++)
        if (strcmp((*part)->name + length, name) == 0)
            return *part;
    return NULL;
}

/* VERB, or VERB and one of its parts. */
static int help(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        list_verbs(stdout);
        return EXIT_DONE;
    }
    const struct verb *verb = find_verb(arguments[1]);
    if (!verb)
        return unknown_verb(arguments[1]);
    const struct verb_words *words = verb->words;
    if (argument_count > 2 && words->parts) {
        words = find_part(words, arguments[2]);
        if (!words)
            return misuse(NULL, "%s has no '%s'", arguments[1], arguments[2]);
    }
    int most = words == verb->words ? 2 : 3;
    if (argument_count > most)
        return misuse(NULL, "help takes one verb at a time, and '%s' is one more", arguments[most]);
    help_print(stdout, words);
    return EXIT_DONE;
}

static bool asks_for_help(const char *argument)
{
    return argument && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0);
}

static int run(int argument_count, char **arguments)
{
    const char *name = arguments[0];
    if (strcmp(name, "--version") == 0) {
        printf("segue %s\n", segue_version_text());
        return EXIT_DONE;
    }
    if (strcmp(name, "help") == 0 || asks_for_help(name))
        return help(argument_count, arguments);
    const struct verb *verb = find_verb(name);
    if (!verb)
        return unknown_verb(name);
    const struct verb_words *part = argument_count > 2 ? find_part(verb->words, arguments[1]) : NULL;
    if (asks_for_help(arguments[1]) || (part && asks_for_help(arguments[2]))) {
        help_print(stdout, part ? part : verb->words);
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
