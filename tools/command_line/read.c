/* read.c: reads options by getopt_long, and says in words what is wrong with them. segue-run has it, too. */
#include <stdlib.h>
#include <string.h>

#include "command_line.h"

#define NAME_LONGEST 31

void command_line_begin(struct command_line *line, const struct verb_words *words, int argument_count, char **arguments)
{
    *line = (struct command_line){.words = words, .argument_count = argument_count, .arguments = arguments};
    struct option *to = line->long_options;
    char *letter = line->letters;
    if (words->operand_ends_options)
        *letter++ = '+';
    *letter++ = ':';
    for (const struct option_words *option = words->options; option && option->value; option++) {
        if (to == line->long_options + COMMAND_LINE_OPTIONS)
            abort();
        int takes = !option->argument ? no_argument : *option->argument == '[' ? optional_argument : required_argument;
        *to++ = (struct option){option->name, takes, NULL, option->value};
        if (option->value >= FIRST_LONG_OPTION)
            continue;
        *letter++ = (char)option->value;
        if (takes == required_argument)
            *letter++ = ':';
    }
    *letter = 0;
    opterr = 0;
    /* 0 and not 1: the GNU function then forgets where it was in another command line. */
    optind = 0;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

/* How many letters have to be changed, added, left out, or swapped with their neighbour. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NAME_LONGEST + 1] = {0}, *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > NAME_LONGEST || b_length > NAME_LONGEST)
        return NAME_LONGEST;
    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smallest(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_length];
}

const char *suggest(const char *wrong, const char *const *names, size_t count)
{
    size_t length = strlen(wrong), best = length < 4 ? 2 : length < 8 ? 3 : 4;
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        bool begins = length >= 2 && strncmp(names[i], wrong, length) == 0;
        size_t away = begins ? 1 : distance(wrong, names[i]);
        if (away >= best)
            continue;
        best = away;
        found = names[i];
    }
    return found;
}

/* The options that begin with the `length` characters of `name`. */
static size_t list_beginning(const struct command_line *line, const char *name, size_t length, const char **names)
{
    size_t count = 0;
    for (const struct option *option = line->long_options; option->name; option++)
        if (strncmp(option->name, name, length) == 0)
            names[count++] = option->name;
    return count;
}

static void say_ambiguous(struct command_line *line, const char *given, const char *const *names, size_t count)
{
    size_t size = sizeof line->problem;
    int at = snprintf(line->problem, size, "%s may mean", given);
    for (size_t i = 0; i < count && at < (int)size; i++)
        at += snprintf(line->problem + at, size - (size_t)at, "%s --%s",
                       i == 0           ? ""
                       : i + 1 == count ? " or"
                                        : ",",
                       names[i]);
    if (at < (int)size)
        snprintf(line->problem + at, size - (size_t)at, "; give more of it");
}

/* `given`: the argument that getopt_long has stumbled over, which begins with two dashes. */
static void say_long(struct command_line *line, const char *given)
{
    const char *names[COMMAND_LINE_OPTIONS], *all[COMMAND_LINE_OPTIONS];
    size_t length = strcspn(given + 2, "="), count = list_beginning(line, given + 2, length, names);
    char wrong[NAME_LONGEST + 2];
    if (optopt) {
        snprintf(line->problem, sizeof line->problem, "%s is too much: the option takes no value", given);
        return;
    }
    if (count > 1 && length) {
        say_ambiguous(line, given, names, count);
        return;
    }
    snprintf(wrong, sizeof wrong, "%.*s", (int)length, given + 2);
    const char *near = suggest(wrong, all, list_beginning(line, "", 0, all));
    snprintf(line->problem, sizeof line->problem,
             near ? "there is no option %.*s; did you mean --%s?" : "there is no option %.*s", (int)length + 2, given,
             near);
}

static int check_exclusions(struct command_line *line, int value)
{
    const struct option_pair *pair = command_line_exclusion(line->words, value, &line->met);
    if (!pair)
        return value;
    snprintf(line->problem, sizeof line->problem, "--%s and --%s exclude each other%s%s; leave one of them out",
             command_line_option_name(line->words, pair->one), command_line_option_name(line->words, pair->other),
             pair->why ? ": " : "", pair->why ? pair->why : "");
    return COMMAND_LINE_WRONG;
}

int command_line_next(struct command_line *line)
{
    int value = getopt_long(line->argument_count, line->arguments, line->letters, line->long_options, NULL);
    if (value == -1)
        return COMMAND_LINE_END;
    if (value != '?' && value != ':')
        return check_exclusions(line, value);
    const char *given = line->arguments[optind - 1];
    if (value == ':')
        snprintf(line->problem, sizeof line->problem, "%s wants a value", given);
    else if (strncmp(given, "--", 2) == 0 && (optopt == 0 || optopt >= FIRST_LONG_OPTION))
        say_long(line, given);
    else
        snprintf(line->problem, sizeof line->problem, "there is no option -%c", optopt);
    return COMMAND_LINE_WRONG;
}
