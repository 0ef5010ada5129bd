/* case_names.c: for case_names.sh: two tests that pass. */
#include "tests/support/test.h"

static void first(void **state)
{
    (void)state;
}

static void second(void **state)
{
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first),
        cmocka_unit_test(second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
