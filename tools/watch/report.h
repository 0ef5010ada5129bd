/* report.h: what segue watch prints: a line for each access, or a table of counts. */
#ifndef SEGUE_TOOLS_WATCH_REPORT_H
#define SEGUE_TOOLS_WATCH_REPORT_H

#include <stdio.h>

#include "options.h"
#include "program.h"

struct report;

/* Where to report. NULL, with a message, if it cannot be written. */
FILE *report_open(const struct options *options);

/* The ranges are watched; `targets` are they, in their order. report_end closes `to`. */
struct report *report_begin(const struct options *options, FILE *to, const struct program *program, struct code *code,
                            const struct target *targets);

/* Reports an access, if it is wanted. False once no more are: then the queue can be closed. */
bool report_access(struct report *report, const struct segue_watch_record *record);

/* The table, if counts are wanted. False, with a message, if something was not written. */
bool report_end(struct report *report);

#endif
