/* report.h: reports a fault of the handler itself. */
#ifndef SEGUE_SIGNALS_REPORT_H
#define SEGUE_SIGNALS_REPORT_H

#include <stdint.h>

/* Where something happened. */
struct report_place {
    uint64_t address, instruction;
};

/* Writes to standard error that the handler itself faulted at `at`, and how (`what`), while it served the fault at
 * `serving`. Async-signal-safe. */
void report_fault_in_handler(const char *what, struct report_place at, struct report_place serving);

#endif
