/* shown.h: what the engine reports, as `segue corpus` shows it. */
#ifndef SEGUE_TOOLS_CORPUS_SHOWN_H
#define SEGUE_TOOLS_CORPUS_SHOWN_H

#include "corpus/gather/gather.h"

/* Prints the error. Returns false. */
bool corpus_complain(const struct corpus_error *error);

/* Bars on standard error; corpus_progress. */
void corpus_show_rows(size_t done, size_t total, bool is_last);
void corpus_show_parts(size_t done, size_t total, bool is_last);

/* corpus_rows_read and corpus_rows_take. Says of the first line of all files that is left out where it stands. False,
 * having said why, on failure. */
bool corpus_read_shown(struct corpus_rows *rows, const char *path);
bool corpus_take_shown(struct corpus_rows *rows, const char *path);

#endif
