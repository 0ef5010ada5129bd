/* shown.h: shows the engine's errors and progress to the user of `segue corpus`. */
#ifndef SEGUE_TOOLS_CORPUS_SHOWN_H
#define SEGUE_TOOLS_CORPUS_SHOWN_H

#include "corpus/gather/gather.h"

/* Prints the error. Returns false. */
bool corpus_complain(const struct corpus_error *error);

/* Bars on standard error; corpus_progress. */
void corpus_show_rows(size_t done, size_t total, bool is_last);
void corpus_show_parts(size_t done, size_t total, bool is_last);

/* corpus_rows_read or corpus_rows_take. Prints where the first line is that was left out. Prints the reason and returns
 * false on failure. */
bool corpus_read_shown(struct corpus_rows *rows, const char *path);
bool corpus_take_shown(struct corpus_rows *rows, const char *path);

#endif
