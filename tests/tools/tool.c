/* tool.c: the segue command, run as a user runs it: what `segue doctor` and `segue demo` print, what is misuse, and
 * what every verb does alike. The environment names the command (SEGUE_TOOL).
 *
 * What it cannot show: that the probes of `segue doctor` are right on another machine. It holds them against
 * what can be asked in another way here. */
#include "tool_outputs.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit status of a child that cannot try it here. */
#define SKIPPED 77

static const char *const doctor_keys[] = {
    "kernel",
    "evidence",
    "processor",
    "zydis",
    "fsgsbase",
    "xsave",
    "avx",
    "avx2",
    "avx512",
    "amx",
    "at_minsigstksz",
    "memfd_create",
    "executable_memory",
    "membarrier",
    "proc_self_mem",
    "syscall_user_dispatch",
    "call_sites",
    "userfaultfd",
    "pkeys",
    "madv_wipeonfork",
    "shadow_stack",
    "max_map_count",
    "mmap_min_addr",
};

static void doctor_json_has_every_key(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "doctor", "--json");
    assert_int_equal(run.code, 0);
    assert_string_equal(run.err, "");
    json_t *all = parse(run.out);
    size_t count = sizeof doctor_keys / sizeof *doctor_keys;
    assert_int_equal(json_object_size(all), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_object_get(all, doctor_keys[i]);
        if (!one)
            fail_msg("no %s", doctor_keys[i]);
        assert_true(strlen(text_of(one, "detail")) > 0);
        assert_true(strlen(text_of(one, "use")) > 0);
        assert_non_null(json_object_get(one, "available"));
        assert_non_null(json_object_get(one, "value"));
    }
    json_decref(all);
}

static void doctor_agrees_with_what_can_be_asked_otherwise(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "doctor", "--json");
    json_t *all = parse(run.out);
    const json_t *fsgsbase = json_object_get(json_object_get(all, "fsgsbase"), "available");
    assert_int_equal(json_is_true(fsgsbase), (getauxval(AT_HWCAP2) & 2) != 0);
    const json_t *avx2 = json_object_get(json_object_get(all, "avx2"), "available");
    assert_int_equal(json_is_true(avx2), __builtin_cpu_supports("avx2") != 0);
    const json_t *avx512 = json_object_get(json_object_get(all, "avx512"), "available");
    assert_int_equal(json_is_true(avx512), __builtin_cpu_supports("avx512f") != 0);
    int file = memfd_create("test", 0);
    assert_int_equal(json_is_true(json_object_get(json_object_get(all, "memfd_create"), "available")), file >= 0);
    close(file);
    json_decref(all);
}

static void doctor_prints_two_lines_for_each_and_no_colour_into_a_file(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "doctor");
    assert_int_equal(run.code, 0);
    assert_null(strchr(run.out, '\033'));
    size_t lines = 0;
    for (const char *at = run.out; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 2 * sizeof doctor_keys / sizeof *doctor_keys);
    RUN(&run, "doctor", "extra");
    assert_int_equal(run.code, 2);
}

/* This process blocks SIGBUS, ignores SIGFPE, and has nothing of Segue's. */
static void doctor_looks_at_a_process(void **state)
{
    (void)state;
    struct run run;
    char process[16];
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGBUS);
    sigprocmask(SIG_BLOCK, &one, &before);
    void (*kept)(int) = signal(SIGFPE, SIG_IGN);
    snprintf(process, sizeof process, "%d", (int)getpid());
    RUN(&run, "doctor", "--pid", process);
    signal(SIGFPE, kept);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(run.code, 0);
    expect(run.out, "libsegue.so is not mapped");
    expect(run.out, "SIGSEGV                yes  a handler has it");
    expect(run.out, "SIGFPE                 no   ignored");
    expect(run.out, "blocks SIGBUS");
    RUN(&run, "doctor", "--pid", "none");
    assert_int_equal(run.code, 2);
    expect(run.err, "'none' is no process number");
    RUN(&run, "doctor", "--pid", "999999999");
    assert_int_equal(run.code, 1);
    expect(run.err, "there is no process 999999999");
    assert_string_equal(run.out, "");
    RUN(&run, "doctor", "--pid");
    assert_int_equal(run.code, 2);
}

/* What is not seen is not reported as absent. The mappings of a process that is not dumpable are for no one
 * without a capability: CAP_SYS_PTRACE, on newer kernels CAP_PERFMON or CAP_SYS_ADMIN as well. */
static void doctor_says_what_it_may_not_see(void **state)
{
    (void)state;
    struct run run;
    char process[16];
    static const int capabilities[] = {CAP_SYS_PTRACE, CAP_PERFMON, CAP_SYS_ADMIN};
    int status, dumpable = prctl(PR_GET_DUMPABLE);
    snprintf(process, sizeof process, "%d", (int)getpid());
    assert_int_equal(prctl(PR_SET_DUMPABLE, 0), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities && geteuid() == 0; i++)
            if (prctl(PR_CAPBSET_DROP, capabilities[i]) != 0)
                _exit(SKIPPED);
        RUN(&run, "doctor", "--pid", process);
        if (run.code != 0 || !strstr(run.out, "segue                  ?    its mappings cannot be read") ||
            !strstr(run.out, "sigchain               ?    its mappings cannot be read") ||
            strstr(run.out, "not mapped")) {
            fputs(run.out, stderr);
            _exit(1);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(prctl(PR_SET_DUMPABLE, dumpable), 0);
    if (status == SKIPPED << 8)
        print_message("SKIP: no capability can be given up here\n");
    else
        assert_int_equal(status, 0);
}

/* What `segue run` rests on is said where it is looked at. */
static void doctor_names_what_run_rests_on(void **state)
{
    static const char *const lines[] = {"fsgsbase", "syscall_user_dispatch"};
    (void)state;
    struct run run;
    RUN(&run, "doctor", "--json");
    json_t *all = parse(run.out);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        expect(text_of(json_object_get(all, lines[i]), "use"), "`segue run`");
    json_decref(all);
}

static void demo_lists_its_names(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "demo");
    assert_int_equal(run.code, 0);
    expect(run.out, "weak-table ");
    expect(run.out, "\nlua ");
    RUN(&run, "demo", "nosuch");
    assert_int_equal(run.code, 2);
    expect(run.err, "there is no demo 'nosuch'");
}

/* A copy of the command in a folder of its own, with one example beside it. */
static void demo_runs_the_example_beside_the_command(void **state)
{
    char folder[] = "/tmp/segue-tool-XXXXXX";
    char command[512], tool[64], program[64];
    (void)state;
    struct run run;
    assert_non_null(mkdtemp(folder));
    snprintf(tool, sizeof tool, "%s/tools/segue", folder);
    snprintf(program, sizeof program, "%s/examples/weak_table", folder);
    snprintf(command, sizeof command,
             "cd %s && mkdir tools examples && cp \"$SEGUE_TOOL\" tools/segue && "
             "printf '#!/bin/sh\\necho ran \"$@\"\\nexit 7\\n' >examples/weak_table && chmod +x examples/weak_table",
             folder);
    assert_int_equal(system(command), 0);
    run_list(&run, tool, (const char *const[]){"segue", "demo", "weak-table", "--help", "two words", NULL});
    assert_int_equal(run.code, 7);
    assert_string_equal(run.out, "ran --help two words\n");
    unlink(program);
    run_list(&run, tool, (const char *const[]){"segue", "demo", "weak-table", NULL});
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    if (run.code == 0) {
        print_message("SKIP: the example is installed, so none can be missing\n");
        skip();
    }
    assert_int_equal(run.code, 1);
    expect(run.err, "the program of weak-table, weak_table, is neither in ");
}

static void misuse_exits_with_2_and_says_why(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "frobnicate");
    assert_int_equal(run.code, 2);
    expect(run.err, "there is no verb 'frobnicate'");
    expect(run.err, "explain");
    RUN(&run, "explain", "--nosuch", "90");
    assert_int_equal(run.code, 2);
    expect(run.err, "there is no option --nosuch");
    RUN(&run, "explain", "--count", "0", "90");
    assert_int_equal(run.code, 2);
    RUN(&run, "explain", "--mode", "16", "90");
    assert_int_equal(run.code, 2);
    RUN(&run, "explain", "--count");
    assert_int_equal(run.code, 2);
    expect(run.err, "--count wants a value");
    RUN(&run, "explain", "90", "file:1");
    assert_int_equal(run.code, 2);
    RUN(&run, "help", "explain", "doctor");
    assert_int_equal(run.code, 2);
    expect(run.err, "'doctor' is one more");
    run_list(&run, variable("SEGUE_TOOL"), (const char *const[]){"segue", NULL});
    assert_int_equal(run.code, 2);
    expect(run.err, "usage: segue VERB");
}

static void help_and_version_are_told(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "help");
    assert_int_equal(run.code, 0);
    expect(run.out, "doctor");
    RUN(&run, "explain", "--help");
    assert_int_equal(run.code, 0);
    expect(run.out, "usage: segue explain HEX...|FILE:ADDRESS|FILE:SYMBOL[+N]");
    RUN(&run, "help", "nosuch");
    assert_int_equal(run.code, 2);
    RUN(&run, "--version");
    assert_int_equal(run.code, 0);
    expect(run.out, "segue ");
}

static void output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(system("\"$SEGUE_TOOL\" explain 90 >/dev/full 2>/dev/null")), 1);
    assert_int_equal(WEXITSTATUS(system("\"$SEGUE_TOOL\" demo weak-table --quick >/dev/full 2>/dev/null")), 1);
}

static void what_is_quoted_is_no_command_for_the_terminal(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "no\033[31mfile:main");
    assert_int_equal(run.code, 1);
    expect(run.err, "no\\x1b[31mfile");
    assert_null(strchr(run.err, '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doctor_json_has_every_key),
        cmocka_unit_test(doctor_agrees_with_what_can_be_asked_otherwise),
        cmocka_unit_test(doctor_looks_at_a_process),
        cmocka_unit_test(doctor_says_what_it_may_not_see),
        cmocka_unit_test(doctor_prints_two_lines_for_each_and_no_colour_into_a_file),
        cmocka_unit_test(doctor_names_what_run_rests_on),
        cmocka_unit_test(demo_lists_its_names),
        cmocka_unit_test(demo_runs_the_example_beside_the_command),
        cmocka_unit_test(misuse_exits_with_2_and_says_why),
        cmocka_unit_test(help_and_version_are_told),
        cmocka_unit_test(output_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(what_is_quoted_is_no_command_for_the_terminal),
    };
    return cmocka_run_group_tests_name("tool", tests, NULL, NULL);
}
