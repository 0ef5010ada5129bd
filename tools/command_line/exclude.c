/* exclude.c: options that exclude each other. */
#include "command_line.h"

/* The place of an option in the table; COMMAND_LINE_OPTIONS if it is not there. */
static unsigned place_of(const struct verb_words *words, int value)
{
    for (unsigned i = 0; words->options && words->options[i].value && i < COMMAND_LINE_OPTIONS; i++)
        if (words->options[i].value == value)
            return i;
    return COMMAND_LINE_OPTIONS;
}

const char *command_line_option_name(const struct verb_words *words, int value)
{
    unsigned place = place_of(words, value);
    return place < COMMAND_LINE_OPTIONS ? words->options[place].name : "?";
}

const struct option_pair *command_line_exclusion(const struct verb_words *words, int value, uint64_t *met)
{
    for (const struct option_pair *pair = words->exclusions; pair && pair->one; pair++) {
        int other = pair->one == value ? pair->other : pair->other == value ? pair->one : 0;
        if (other && *met >> place_of(words, other) & 1)
            return pair;
    }
    *met |= UINT64_C(1) << place_of(words, value);
    return NULL;
}
