/* filter.c: SEGUE_TEST=PATTERN in the environment runs those of a program's tests whose names match; * and ? stand for
 * any characters and for one. Linked into every program of cmocka's. */
#include "test.h"

#include <stdlib.h>

__attribute__((constructor)) static void filter_tests(void)
{
    const char *pattern = getenv("SEGUE_TEST");
    if (pattern)
        cmocka_set_test_filter(pattern);
}
