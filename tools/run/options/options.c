/* options.c: reads the options that tools/command_line/run.c lists, as getopt_long(3) does: whole names or unambiguous
 * beginnings, values after = or in the next word, up to the first word that is not an option. */
#include "options.h"

#include <string.h>

#include "settings.h"
#include "tools/command_line/command_line.h"
#include "tools/run/host/report.h"
#include "tools/run/syscalls/number.h"

/* The option that a word of this length names; NULL for no option, or for several. */
static const struct option_words *find(const char *name, size_t length)
{
    const struct option_words *found = NULL;
    for (const struct option_words *option = run_words.options; option->name; option++) {
        if (strncmp(option->name, name, length) != 0)
            continue;
        if (option->name[length] == 0)
            return option;
        if (found)
            report_misuse("--%s may mean --%s or --%s; give more of it", name, found->name, option->name);
        found = option;
    }
    return found;
}

/* trap, rewrite, rewrite:NUMBER */
static void read_calls(const char *how)
{
    settings.calls_met = 0;
    if (strcmp(how, "trap") == 0)
        return;
    settings.calls_met = CALLS_MET;
    if (strcmp(how, "rewrite") == 0)
        return;
    const char *end = how + 8;
    uint64_t met = strncmp(how, "rewrite:", 8) == 0 && strnlen(how, 20) < 20 ? number_read(&end) : 0;
    if (met == 0 || met > 1000000 || *end)
        report_misuse("--syscalls takes trap, rewrite, or rewrite:NUMBER with a number from 1 to 1000000, not %s", how);
    settings.calls_met = (unsigned)met;
}

static void take(const struct option_words *option, const char *value)
{
    switch (option->value) {
    case RUN_STATS:
        if (value && strcmp(value, "json") != 0)
            report_misuse("--stats takes json or nothing, not %s", value);
        settings.statistics = value ? STATISTICS_JSON : STATISTICS_TEXT;
        break;
    case RUN_TRACE:
        settings.trace = true;
        break;
    case RUN_EAGER:
        settings.rewriting = REWRITE_EAGERLY;
        break;
    case RUN_LAZY:
        settings.rewriting = REWRITE_LAZILY;
        break;
    case RUN_NO_FOLLOW:
        settings.no_follow = true;
        break;
    default:
        read_calls(value);
    }
}

static void check_exclusions(const struct option_words *option, uint64_t *met)
{
    const struct option_pair *pair = command_line_exclusion(&run_words, option->value, met);
    if (pair)
        report_misuse("--%s and --%s exclude each other%s%s; leave one of them out",
                      command_line_option_name(&run_words, pair->one),
                      command_line_option_name(&run_words, pair->other), pair->why ? ": " : "",
                      pair->why ? pair->why : "");
}

int options_read(int argument_count, char **arguments)
{
    uint64_t met = 0;
    int at = 1;
    for (; at < argument_count && arguments[at][0] == '-' && arguments[at][1]; at++) {
        const char *name = arguments[at] + 2, *value = NULL;
        if (strcmp(arguments[at], "--") == 0) {
            at++;
            break;
        }
        size_t length = strcspn(name, "=");
        const struct option_words *option = arguments[at][1] == '-' && length ? find(name, length) : NULL;
        if (!option)
            report_misuse("there is no option %s", arguments[at]);
        if (name[length] == '=')
            value = name + length + 1;
        if (value && !option->argument)
            report_misuse("%s is too much: the option takes no value", arguments[at]);
        if (!value && option->argument && option->argument[0] != '[') {
            if (++at == argument_count)
                report_misuse("--%s wants a value", option->name);
            value = arguments[at];
        }
        check_exclusions(option, &met);
        take(option, value);
    }
    if (at >= argument_count)
        report_misuse("there is no program to run");
    return at;
}
