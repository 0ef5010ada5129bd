/* filter.c: SEGUE_TEST=PATTERN in the environment runs those of a program's tests whose names match; * and ? stand for
 * any characters and for one. A group in which none matches fails. Linked into every program of cmocka's, with
 * -Wl,--wrap=_cmocka_run_group_tests. */
#include "test.h"

#include <stdbool.h>
#include <stdlib.h>

#include "outside.h"

int __real__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);

static bool matches(const char *pattern, const char *name)
{
    if (*pattern == '*')
        return matches(pattern + 1, name) || (*name && matches(pattern, name + 1));
    if (!*pattern || !*name)
        return *pattern == *name;
    return (*pattern == '?' || *pattern == *name) && matches(pattern + 1, name + 1);
}

static int run(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
               CMFixtureFunction teardown)
{
    outside_begin();
    int failed = __real__cmocka_run_group_tests(group, tests, count, setup, teardown);
    outside_end();
    return failed;
}

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown)
{
    const char *pattern = getenv("SEGUE_TEST");
    struct CMUnitTest *chosen = pattern ? malloc((count + 1) * sizeof *chosen) : NULL;
    size_t number = 0;
    if (!pattern)
        return run(group, tests, count, setup, teardown);
    if (!chosen)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (matches(pattern, tests[i].name))
            chosen[number++] = tests[i];
    if (!number)
        print_error("SEGUE_TEST=%s: no test of this program has such a name\n", pattern);
    int failed = number ? run(group, chosen, number, setup, teardown) : 1;
    free(chosen);
    return failed;
}
