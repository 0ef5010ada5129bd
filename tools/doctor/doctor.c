/* doctor.c: segue doctor: says what this machine and kernel offer, and how Segue uses it. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_process.h"
#include "probe.h"
#include "tools/support/message.h"
#include "tools/support/verb.h"

#define VERB "doctor"

static const struct probes *const groups[] = {&kernel_probes, &processor_probes};

/* How each answer looks. */
static const struct {
    const char *text;
    const char *colour;
} answers[] = {
    [ANSWER_NO] = {"no", "\033[33m"},
    [ANSWER_YES] = {"yes", "\033[32m"},
    [ANSWER_FACT] = {"", ""},
    [ANSWER_UNKNOWN] = {"?", "\033[31m"},
};

static struct finding look(const struct probe *probe)
{
    struct finding finding = {.answer = ANSWER_NO, .value = -1};
    probe->look(&finding);
    return finding;
}

static const char *use_of(const struct probe *probe, const struct finding *finding)
{
    return finding->answer == ANSWER_NO && probe->without ? probe->without : probe->with;
}

static void print(const struct probe *probe, const struct finding *finding, bool in_colour)
{
    printf("%-22s %s%-4s%s %s\n", probe->key, in_colour ? answers[finding->answer].colour : "",
           answers[finding->answer].text, in_colour ? "\033[0m" : "", finding->detail);
    printf("%-27s %s%s%s\n", "", in_colour ? "\033[2m" : "", use_of(probe, finding), in_colour ? "\033[0m" : "");
}

static json_t *as_json(const struct probe *probe, const struct finding *finding)
{
    json_t *object = json_object();
    if (finding->answer == ANSWER_YES || finding->answer == ANSWER_NO)
        json_object_set_new(object, "available", json_boolean(finding->answer == ANSWER_YES));
    else
        json_object_set_new(object, "available", json_null());
    json_object_set_new(object, "value", finding->value < 0 ? json_null() : json_integer(finding->value));
    json_object_set_new(object, "detail", json_string(finding->detail));
    json_object_set_new(object, "use", json_string(use_of(probe, finding)));
    return object;
}

/* Calls of the terminal's user: no colour where it is not one, or where it is not wanted. */
static bool wants_colour(void)
{
    const char *refusal = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(refusal && *refusal) && !(terminal && strcmp(terminal, "dumb") == 0);
}

/* Puts every finding into `all`, or prints it where that is NULL. */
static void look_at_everything(json_t *all)
{
    bool in_colour = wants_colour();
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (size_t j = 0; j < groups[i]->count; j++) {
            const struct probe *probe = &groups[i]->list[j];
            /* A child that a probe makes must not inherit what is not printed yet. */
            fflush(stdout);
            struct finding finding = look(probe);
            if (all)
                json_object_set_new(all, probe->key, as_json(probe, &finding));
            else
                print(probe, &finding, in_colour);
        }
    }
}

static int look_at_process(const char *text)
{
    char *end;
    errno = 0;
    long process = strtol(text, &end, 10);
    if (errno || process <= 0 || *end)
        return misuse(VERB, "'%s' is no process number", text);
    int error = doctor_process(process);
    if (!error)
        return EXIT_DONE;
    if (error == ENOENT || error == ESRCH)
        complain(VERB, "there is no process %ld", process);
    else
        complain(VERB, "process %ld cannot be read: %s", process, strerror(error));
    return EXIT_FAILED;
}

static int doctor(int argument_count, char **arguments)
{
    struct command_line line;
    const char *process = NULL;
    bool wants_json = false;
    int found;
    command_line_begin(&line, &doctor_words, argument_count, arguments);
    while ((found = command_line_next(&line)) != COMMAND_LINE_END) {
        if (found == DOCTOR_JSON)
            wants_json = true;
        else if (found == DOCTOR_PID)
            process = optarg;
        else
            return misuse_of_line(&line);
    }
    if (optind < argument_count)
        return misuse(VERB, "there is nothing to be said of '%s'; it takes no arguments", arguments[optind]);
    if (process)
        return look_at_process(process);
    json_t *all = wants_json ? json_object() : NULL;
    look_at_everything(all);
    if (all) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    }
    return EXIT_DONE;
}

const struct verb doctor_verb = {&doctor_words, doctor};
