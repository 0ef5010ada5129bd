/* calls_report.h: says that a call was given a pointer into a region and is not known. */
#ifndef SEGUE_SIGNALS_CALLS_REPORT_H
#define SEGUE_SIGNALS_CALLS_REPORT_H

#include "platform/calls/calls.h"

/* Once for each number. Async-signal-safe. */
void calls_report_refused(const struct system_call *call);

#endif
