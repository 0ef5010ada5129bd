/* forks.c: the registry of what a child must do runs its hooks in the order of their numbers, and each module has the
 * number that platform/process/fork.h says. What the hooks do is tested with their modules. Each test is a process of
 * its own, for a registry is never emptied. */
#include "tests/support/test.h"

#include <segue/handler.h>
#include <segue/segment.h>
#include <segue/suspend.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/process/fork.h"

/* What ran, a letter a hook: b, p, c for before, in the parent, in the child; then the order's hexadecimal digit. */
static char ran[3 * 2 * FORK_ORDERS + 1];

static void note(char letter, unsigned order)
{
    size_t length = strlen(ran);
    snprintf(ran + length, sizeof ran - length, "%c%x", letter, order);
}

#define HOOKS(order)                                                                                                   \
    static void before_##order(void)                                                                                   \
    {                                                                                                                  \
        note('b', order);                                                                                              \
    }                                                                                                                  \
    static void in_parent_##order(void)                                                                                \
    {                                                                                                                  \
        note('p', order);                                                                                              \
    }                                                                                                                  \
    static void in_child_##order(void)                                                                                 \
    {                                                                                                                  \
        note('c', order);                                                                                              \
    }
HOOKS(0)
HOOKS(1)
HOOKS(2)
HOOKS(3)
HOOKS(4)
HOOKS(5)
HOOKS(6)
HOOKS(7)
HOOKS(8)
HOOKS(9)
HOOKS(10)

_Static_assert(FORK_ORDERS == 11, "each order has its hooks here");

static const struct fork_hooks all[FORK_ORDERS] = {
    {before_0, in_parent_0, in_child_0}, {before_1, in_parent_1, in_child_1},    {before_2, in_parent_2, in_child_2},
    {before_3, in_parent_3, in_child_3}, {before_4, in_parent_4, in_child_4},    {before_5, in_parent_5, in_child_5},
    {before_6, in_parent_6, in_child_6}, {before_7, in_parent_7, in_child_7},    {before_8, in_parent_8, in_child_8},
    {before_9, in_parent_9, in_child_9}, {before_10, in_parent_10, in_child_10},
};

/* What a fork's child has run, by its exit status: 0 if it is `expected`. */
static bool child_has_run(const char *expected)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(strcmp(ran, expected) != 0);
    return waitpid(child, &status, 0) == child && status == 0;
}

/* Runs `body` in a process that has registered nothing yet. */
static void in_a_process(int (*body)(void))
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static int run_all(void)
{
    /* Registered in another order than that of their numbers. */
    static const unsigned orders[FORK_ORDERS] = {3, 6, 9, 0, 10, 5, 7, 1, 4, 8, 2};
    for (unsigned i = 0; i < FORK_ORDERS; i++)
        if (!fork_register((enum fork_order)orders[i], &all[orders[i]]))
            return 1;
    if (!child_has_run("bab9b8b7b6b5b4b3b2b1b0c0c1c2c3c4c5c6c7c8c9ca"))
        return 2;
    return strcmp(ran, "bab9b8b7b6b5b4b3b2b1b0p0p1p2p3p4p5p6p7p8p9pa") == 0 ? 0 : 3;
}

static void hooks_run_down_before_a_fork_and_up_after_it(void **state)
{
    (void)state;
    in_a_process(run_all);
}

static int run_some(void)
{
    static const struct fork_hooks other = {before_4, NULL, NULL}, in_child_only = {NULL, NULL, in_child_0};
    if (!fork_register(FORK_FILES, &all[FORK_FILES]) || !fork_register(FORK_FILES, &other) ||
        !fork_register(FORK_ADDRESSES, &in_child_only))
        return 1;
    return child_has_run("b3c0c3") && strcmp(ran, "b3p3") == 0 ? 0 : 2;
}

static void second_registration_of_an_order_changes_nothing(void **state)
{
    (void)state;
    in_a_process(run_some);
}

/* Whether that order is some module's now. */
static bool is_taken(enum fork_order order)
{
    ran[0] = 0;
    return fork_register(order, &all[order]) && child_has_run("");
}

static int take_by_modules(void)
{
    static const struct segue_segment_options options = {.rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS}};
    if (segue_install(NULL) != SEGUE_OK || segue_suspend_install(NULL) != SEGUE_OK)
        return 1;
    if (!is_taken(FORK_HANDLER) || !is_taken(FORK_ADDRESSES) || !is_taken(FORK_SUSPENSION))
        return 2;
    if (segue_segment_enable(&options) != SEGUE_OK)
        return 3;
    return is_taken(FORK_FILES) && is_taken(FORK_CODE) && is_taken(FORK_PATCHES) ? 0 : 4;
}

static void each_module_has_its_own_order(void **state)
{
    (void)state;
    in_a_process(take_by_modules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_run_down_before_a_fork_and_up_after_it),
        cmocka_unit_test(second_registration_of_an_order_changes_nothing),
        cmocka_unit_test(each_module_has_its_own_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
