/* report.h: the result of a check, as JSON, as text and as a page. The sum of the reports of parts is the report of the
 * whole. */
#ifndef SEGUE_TOOLS_CORPUS_REPORT_REPORT_H
#define SEGUE_TOOLS_CORPUS_REPORT_REPORT_H

#include <jansson.h>

#include "corpus/check/counts.h"

/* The report as JSON. The caller releases it. */
json_t *corpus_report(const struct corpus_counts *counts, const struct corpus_rules *rules);

/* Reads a report. Prints the reason and returns NULL if the file is not a report. */
json_t *corpus_report_read(const char *path);
/* Writes a report, to standard output if `path` is NULL. On failure, prints the reason and returns false. */
bool corpus_report_write(const json_t *report, const char *path);

/* Adds the reports of parts up. Prints the reason and returns false if they are not of one kind. `to` may be an empty
 * object. */
bool corpus_report_merge(json_t *to, const json_t *from);

/* Removes from the report, and counts, the rows outside every class that the baseline (another report) has too. Prints
 * the reason and returns false if the baseline does not list all of its own. */
bool corpus_report_forgive(json_t *report, const json_t *baseline);

/* Writes the report as a page. On failure, prints the reason and returns false. */
bool corpus_report_write_html(const json_t *report, const char *path);

/* Prints a report as text. */
void corpus_report_print(const json_t *report);

/* Prints the differences between two reports. Returns how many lines it printed. */
unsigned corpus_report_diff(const json_t *before, const json_t *after);

/* How many rows lie outside every class. */
uint64_t corpus_report_unknown(const json_t *report);

#endif
