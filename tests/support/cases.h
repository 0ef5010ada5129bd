/* cases.h: cases that run in a process of their own (child.h), as tests of cmocka. Included behind test.h. */
#ifndef SEGUE_TESTS_CASES_H
#define SEGUE_TESTS_CASES_H

#include <stdio.h>

#include "child.h"

/* A case's exit status when this machine cannot show it. */
#define CASE_SKIPPED 77

/* In a case: ends it with 1, and says where, unless the condition holds. */
#define NEED(condition)                                                                                                \
    do                                                                                                                 \
        if (!(condition)) {                                                                                            \
            dprintf(2, "line %d: %s\n", __LINE__, #condition);                                                         \
            return 1;                                                                                                  \
        }                                                                                                              \
    while (0)

/* Runs the case. The test is skipped if it returns CASE_SKIPPED, and fails, with what it wrote, unless it returns 0. */
static inline void case_run(const char *name)
{
    struct child_result result = child_run(name);
    if (result.status == CASE_SKIPPED)
        skip();
    if (result.status != 0)
        fail_msg("%s: status %d, signal %d: %s", name, result.status, result.signal, result.output);
}

static inline void case_test(void **state)
{
    case_run(*state);
}

/* main of a program whose tests are its cases: EACH_CASE(X) is X(name) for each. */
#define CASE_ROW(name) {#name, name},
#define CASE_TEST(name) {#name, case_test, NULL, NULL, #name},
#define CASES_MAIN(EACH_CASE)                                                                                          \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        static const struct child_case cases[] = {EACH_CASE(CASE_ROW)};                                                \
        const struct CMUnitTest tests[] = {EACH_CASE(CASE_TEST)};                                                      \
        child_main(argc, argv, cases, sizeof cases / sizeof *cases);                                                   \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

#endif
