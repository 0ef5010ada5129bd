/* outside.c: for outside.sh: assertions that fail outside of a test, one place for each argument. */
#include "tests/support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/child.h"

static void *fail_in_thread(void *three)
{
    assert_int_equal(*(int *)three, 4);
    return NULL;
}

static void *fault(void *nowhere)
{
    *(volatile int *)nowhere = 1;
    return NULL;
}

static void run_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, argument), 0);
    pthread_join(thread, NULL);
}

static void in_a_thread(void **state)
{
    int three = 3;
    (void)state;
    run_thread(fail_in_thread, &three);
}

static void fault_in_a_thread(void **state)
{
    (void)state;
    run_thread(fault, (void *)8);
}

static void in_a_fork(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        assert_string_equal("these", "those");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 255);
}

/* Not in the child of the one before. */
static void after_a_fork(void **state)
{
    (void)state;
    printf("once\n");
}

static int in_a_case(void)
{
    assert_memory_equal("these", "those", 5);
    return 0;
}

static void case_fails(void **state)
{
    struct child_result result = child_run("in_a_case");
    (void)state;
    printf("%d %s", result.status, result.output);
}

static void in_the_test(void **state)
{
    (void)state;
    assert_true(*(const char *)*state == 0);
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {{"in_a_case", in_a_case}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_thread), cmocka_unit_test(fault_in_a_thread),
        cmocka_unit_test(in_a_fork),   cmocka_unit_test(after_a_fork),
        cmocka_unit_test(case_fails),  cmocka_unit_test_prestate(in_the_test, "text"),
    };
    child_main(argc, argv, cases, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
