/* times.h: how much a test does. SEGUE_TEST_TIMES=N in the environment makes it N times as much: what takes long is in
 * the suite `quick` as a part, and in `long` as a whole. */
#ifndef SEGUE_TESTS_TIMES_H
#define SEGUE_TESTS_TIMES_H

#include <stdlib.h>

static inline unsigned test_times(void)
{
    const char *given = getenv("SEGUE_TEST_TIMES");
    int number = given ? atoi(given) : 1;
    return number > 0 ? (unsigned)number : 1;
}

/* Of which so many are left out between one and the next, if a whole run takes each. */
static inline unsigned test_stride(unsigned most)
{
    unsigned times = test_times();
    return times < most ? most / times : 1;
}

#endif
