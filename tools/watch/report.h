/* report.h: what segue watch prints: a line for each access, or a table of counts; or the map that it draws. */
#ifndef SEGUE_TOOLS_WATCH_REPORT_H
#define SEGUE_TOOLS_WATCH_REPORT_H

#include <stdio.h>

#include "options.h"
#include "program.h"

struct report;

/* Before the program runs. NULL, with a message, if the report cannot be written. */
struct report *report_open(const struct options *options);
/* The program does not run. */
void report_abandon(struct report *report);

/* The ranges are watched; `targets` are they, in their order. */
void report_begin(struct report *report, const struct program *program, struct code *code,
                  const struct target *targets);

/* Reports an access, if it is wanted, in that block of the heap if that has an address, with its callers if `stack` is
 * not NULL. Whether it was wanted. Clears `*goes_on` if no more are: then the queue can be closed. */
bool report_access(struct report *report, const struct segue_watch_record *record, const struct queue_block *block,
                   const struct queue_stack *stack, bool *goes_on);

/* Shows what there is so far, where that is of use. To be called often. */
void report_meanwhile(struct report *report);

/* The table, or the map, if that is wanted. False, with a message, if something was not written. */
bool report_end(struct report *report);

#endif
