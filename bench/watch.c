/* watch.c: what it costs a program to be watched. An operation is a program from its start to its end, in a process of
 * its own; its time is the processor's, the kernel's part included. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/bench.h"

extern char **environ;

static char count[32];

static void setup(void)
{
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(count, sizeof count, "count=%u", bench_is_quick() ? 100000u : 500000u);
}

/* How dd is run: with a library to preload, or NULL; under segue run with an option, or NULL. */
struct way {
    const char *preload, *run_option;
};

static void run_dd(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    const char *const words[] = {SEGUE_RUN_PROGRAM, way->run_option, "dd",  "if=/dev/zero",
                                 "of=/dev/null",    "bs=1",          count, NULL};
    const char *const *command = way->run_option ? words : words + 2;
    for (unsigned i = 0; i < operations; i++) {
        posix_spawn_file_actions_t actions;
        pid_t child;
        int status;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (way->preload)
            setenv("LD_PRELOAD", way->preload, 1);
        int error = posix_spawnp(&child, command[0], &actions, NULL, (char **)(uintptr_t)command, environ);
        unsetenv("LD_PRELOAD");
        posix_spawn_file_actions_destroy(&actions);
        if (error != 0 || waitpid(child, &status, 0) != child || status != 0)
            bench_fail("dd cannot be run");
    }
}

static struct way native, service = {.preload = SEGUE_PRELOAD}, rewrite = {.run_option = "--syscalls=rewrite"};

static const struct bench_variant variants[] = {
    {.name = "syscall_native", .what = "dd bs=1", .run = run_dd, .context = &native},
    {.name = "syscall",
     .what = "dd bs=1, all calls looked at, none with a pointer into a region",
     .run = run_dd,
     .context = &service},
    {.name = "syscall_run", .what = "dd bs=1, under segue run --syscalls=rewrite", .run = run_dd, .context = &rewrite},
};

static const struct bench_ratio ratios[] = {
    {"watch_syscall_over_native", "syscall", "syscall_native"},
    {"watch_syscall_over_run", "syscall", "syscall_run"},
};

const struct bench_suite bench_suite = {
    .name = "watch",
    .title = "Programs that are watched",
    .clock = BENCH_CLOCK_CHILDREN,
    .operations = 1,
    .rounds = 9,
    .quick_rounds = 5,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};
