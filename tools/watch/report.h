/* report.h: what segue watch prints: a line for each access, or a table of counts. */
#ifndef SEGUE_TOOLS_WATCH_REPORT_H
#define SEGUE_TOOLS_WATCH_REPORT_H

#include "options.h"
#include "program.h"

struct report;

/* `targets` are the program's ranges, in their order. NULL, with a message, if the output cannot be written. */
struct report *report_begin(const struct options *options, const struct program *program, struct code *code,
                            const struct target *targets);

/* Reports an access, if it is wanted. False once no more are: then the queue can be closed. */
bool report_access(struct report *report, const struct segue_watch_record *record);

/* The table, if counts are wanted. False, with a message, if something was not written. */
bool report_end(struct report *report);

#endif
