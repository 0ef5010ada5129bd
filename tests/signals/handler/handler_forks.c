/* handler_forks.c: a child made by fork is whole, whoever forked and whatever other threads were doing. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handler_fixture.h"

static enum segue_verdict fork_here(void *context, const struct segue_event *event)
{
    (void)event;
    *(pid_t *)context = fork();
    return SEGUE_STEP;
}

static void fork_in_a_policy_leaves_both_sides_whole(void **state)
{
    pid_t child = -1;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, fork_here, &child), SEGUE_OK);
    uint64_t value = load(page_of(0) + 8);
    if (child == 0) {
        mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE);
        bool whole = value == 8 && segue_region_remove(page_of(0)) == SEGUE_OK && add(1, 1, NULL, NULL) == SEGUE_OK &&
                     load(page_of(1)) == PAGE;
        _exit(whole ? 0 : 1);
    }
    assert_int_equal(value, 8);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
}

static void fork_while_another_thread_faults_leaves_the_child_free(void **state)
{
    struct gate gate = {0};
    pthread_t faulting;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, wait_at_gate, &gate), SEGUE_OK);
    pthread_create(&faulting, NULL, load_second_word, NULL);
    while (!gate.inside)
        sched_yield();
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(segue_region_remove(page_of(0)) == SEGUE_OK ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    gate.open = 1;
    pthread_join(faulting, NULL);
}

/* The child has neither the remover nor the fault that it waits for: there the region is gone. */
static void fork_while_a_region_is_being_removed_leaves_the_child_free(void **state)
{
    struct gate gate = {0};
    pthread_t faulting, removing;
    int status = -1;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, wait_at_gate, &gate), SEGUE_OK);
    pthread_create(&faulting, NULL, load_second_word, NULL);
    while (!gate.inside)
        sched_yield();
    pthread_create(&removing, NULL, remove_first_page, &gate);
    struct segue_region found;
    while (segue_region_find(page_of(0), &found) == SEGUE_OK)
        sched_yield();
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        bool free_again = add(0, 1, NULL, NULL) == SEGUE_OK && load(page_of(0) + 8) == 8 &&
                          segue_region_remove(page_of(0)) == SEGUE_OK && segue_uninstall(NULL) == SEGUE_OK;
        _exit(free_again ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    gate.open = 1;
    pthread_join(faulting, NULL);
    pthread_join(removing, NULL);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
}

static void *install_for_ever(void *context)
{
    volatile int *stop = context;
    while (!*stop) {
        if (segue_install(NULL) != SEGUE_OK)
            _exit(99);
        segue_uninstall(NULL);
    }
    return NULL;
}

static void fork_while_another_thread_installs_leaves_the_child_free(void **state)
{
    volatile int stop = 0;
    pthread_t thread;
    int status = 0;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    pthread_create(&thread, NULL, install_for_ever, (void *)&stop);
    for (int i = 0; i < 200 && status == 0; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            enum segue_status installed = segue_install(NULL);
            bool whole = (installed == SEGUE_OK || installed == SEGUE_EXISTS) && segue_uninstall(NULL) == SEGUE_OK;
            _exit(whole ? 0 : 1);
        }
        waitpid(child, &status, 0);
    }
    stop = 1;
    pthread_join(thread, NULL);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(fork_in_a_policy_leaves_both_sides_whole),
        FIXTURE_TEST(fork_while_another_thread_faults_leaves_the_child_free),
        FIXTURE_TEST(fork_while_a_region_is_being_removed_leaves_the_child_free),
        FIXTURE_TEST(fork_while_another_thread_installs_leaves_the_child_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
