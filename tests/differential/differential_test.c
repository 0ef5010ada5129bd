/* differential_test.c: runs the differential program, and checks that it would notice.
 *
 * What it shows: over all encodings of the MOV family there was no difference between the processor and the library in
 * as many random states as were asked for. A comparison that cannot fail would show the same; so each part of what is
 * compared is spoiled once, and must be reported as what it is.
 *
 *      differential_test PROGRAM STATES */
#include "tests/support/test.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_DIFFERENT 1
#define EXIT_SKIPPED 77

extern char **environ;
static const char *program, *states;

/* Runs the program with up to three arguments; keeps what it says, and says it. Returns its exit status, -1 if a signal
 * ended it. */
static int run(const char *first, const char *second, const char *third, char *said, size_t size)
{
    char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)first, (char *)(uintptr_t)second,
                               (char *)(uintptr_t)third, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status;
    pid_t child;
    size_t length = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    assert_int_equal(posix_spawn(&child, program, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    for (ssize_t got; length < size - 1 && (got = read(ends[0], said + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void skip_or_equal(int status, int expected, const char *said)
{
    if (status == EXIT_SKIPPED) {
        print_message("%s", said);
        skip();
    }
    if (status != expected)
        print_error("%s", said);
    assert_int_equal(status, expected);
}

/* The number that follows the word at the start of a line of the summary. */
static unsigned long long number_after(const char *said, const char *word)
{
    const char *at = strstr(said, word);
    assert_non_null(at);
    return strtoull(at + strlen(word), NULL, 10);
}

static void every_form_steps_as_the_processor_runs_it(void **state)
{
    static char said[65536];
    (void)state;
    int status = run("--states", states, NULL, said, sizeof said);
    skip_or_equal(status, 0, said);
    print_message("%s", said);
    assert_true(number_after(said, "states ") >= strtoull(states, NULL, 10));
    assert_true(number_after(said, "stepped ") >= strtoull(states, NULL, 10) / 2);
    assert_int_equal(number_after(said, "differences "), 0);
}

static void what_the_processor_refuses_is_refused(void **state)
{
    static char said[4096];
    (void)state;
    skip_or_equal(run("--check-undefined", NULL, NULL, said, sizeof said), 0, said);
}

/* What is spoiled, and what must be said of it. */
struct injected {
    const char *what, *words;
};

static void spoiled_result_is_noticed(void **state)
{
    static char said[65536], argument[64];
    const struct injected *injected = *state;
    snprintf(argument, sizeof argument, "--inject=%s", injected->what);
    skip_or_equal(run(argument, "--batch=0", NULL, said, sizeof said), EXIT_DIFFERENT, said);
    assert_non_null(strstr(said, "DIFFERENCE"));
    if (!strstr(said, injected->words))
        print_error("%s", said);
    assert_non_null(strstr(said, injected->words));
}

static void nothing_spoiled_is_no_difference(void **state)
{
    static char said[65536];
    (void)state;
    skip_or_equal(run("--inject=nothing", "--batch=0", NULL, said, sizeof said), 0, said);
}

int main(int argc, char **argv)
{
    static struct injected all[] = {
        {"upper-half", "  r13 "},
        {"high-byte", "  rbx "},
        {"flag", "  rflags "},
        {"memory-near", "  memory window byte 32:"},
        {"memory-far", "memory differs"},
        {"x87", "  x87 control, status, tags byte 0:"},
        {"xmm", "  mxcsr, st, xmm byte 391:"},
        {"last-xsave-byte", " byte "},
        {"gs-base", "  gs base "},
        {"no-fault", "another number of faults"},
        {"signal-address", "  signal address "},
        {"plan", "the plan lists other accesses"},
    };
    enum { ALL = sizeof all / sizeof *all };
    static char names[ALL][64];
    struct CMUnitTest tests[ALL + 3] = {
        cmocka_unit_test(what_the_processor_refuses_is_refused),
        cmocka_unit_test(nothing_spoiled_is_no_difference),
        cmocka_unit_test(every_form_steps_as_the_processor_runs_it),
    };
    if (argc != 3) {
        fprintf(stderr, "%s PROGRAM STATES\n", argv[0]);
        return 2;
    }
    program = argv[1];
    states = argv[2];
    for (size_t i = 0; i < ALL; i++) {
        snprintf(names[i], sizeof names[i], "spoiled_%s_is_noticed", all[i].what);
        tests[3 + i] =
            (struct CMUnitTest){.name = names[i], .test_func = spoiled_result_is_noticed, .initial_state = &all[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
