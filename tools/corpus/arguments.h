/* arguments.h: numbers and names on the command line of `segue corpus`. */
#ifndef SEGUE_TOOLS_CORPUS_ARGUMENTS_H
#define SEGUE_TOOLS_CORPUS_ARGUMENTS_H

#include <stdbool.h>

/* Reads a whole number from `low` to `high`. Otherwise reports the option's error and returns false. */
bool corpus_number(const char *option, const char *text, unsigned low, unsigned high, unsigned *value);

/* Whether a result can be written to `path` without overwriting one of the `inputs`, the last of which is NULL. If not,
 * prints the reason. */
bool corpus_may_write(const char *path, char *const *inputs);

#endif
