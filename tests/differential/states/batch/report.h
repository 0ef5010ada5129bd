/* report.h: the text of a difference. */
#ifndef SEGUE_TESTS_BATCH_REPORT_H
#define SEGUE_TESTS_BATCH_REPORT_H

#include "tests/differential/states/batch.h"

/* Hands options->report what is needed to repeat the difference in the batch's i-th case: where it is, the instruction,
 * the registers before it, what is wrong, and `details`. */
void batch_report(const struct batch_options *options, enum area_set set, uint64_t number, size_t i,
                  const struct test_case *test, const char *what, const char *details);

#endif
