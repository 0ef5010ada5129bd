/* verbs.h: what `segue corpus` can be told to do; each takes its own name as arguments[0] and returns an
 * enum exit_code. */
#ifndef SEGUE_TOOLS_CORPUS_VERBS_H
#define SEGUE_TOOLS_CORPUS_VERBS_H

#include <stdbool.h>
#include <stddef.h>

int corpus_verb_build(int argument_count, char **arguments);
int corpus_verb_check(int argument_count, char **arguments);
int corpus_verb_stat(int argument_count, char **arguments);
int corpus_verb_diff(int argument_count, char **arguments);
int corpus_verb_merge(int argument_count, char **arguments);

/* Reads a whole number from `low` to `high`. False, having said what is wrong with the option, if it is none. */
bool corpus_number(const char *option, const char *text, unsigned low, unsigned high, unsigned *value);

/* Whether a result can be written to `path` without overwriting one of the `inputs`, the last of which is NULL. False,
 * having said why, if not. */
bool corpus_may_write(const char *path, char *const *inputs);

/* The folder of the corpus's data: `folder` if it is not NULL; else the one beside the build tree that this command
 * stands in, or where it was installed. */
const char *corpus_data_folder(const char *folder);

/* Where a file of the corpus's data is; `folder` as above. */
void corpus_data_path(char *path, size_t size, const char *folder, const char *name);

/* The path of a file of rows: as it is; if nothing is there, that of the file of the data folder that it names, to be
 * kept. */
const char *corpus_find_rows(const char *path, const char *folder);

#endif
