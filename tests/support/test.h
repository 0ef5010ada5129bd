/* test.h: cmocka, with the headers that it wants before it. */
#ifndef SEGUE_TESTS_TEST_H
#define SEGUE_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Ends the test as skipped, and says why, unless `why` is NULL. */
static inline void skip_if(const char *why)
{
    if (!why)
        return;
    print_message("SKIP: %s\n", why);
    skip();
}

#endif
