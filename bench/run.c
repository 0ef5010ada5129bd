/* run.c: what it costs a program to run with FS taken away. An operation is a program from its start to its end, in a
 * process of its own; its time is the processor's, the kernel's part included. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/bench.h"

#define WORDS 12
#define FILE_SIZE (50u << 20)
/* With --quick all are this much shorter. */
#define QUICK 8

extern char **environ;

/* A command, or several one after the other. */
struct command {
    const char *words[4][WORDS];
    bool is_under_segue;
    /* An option of segue run, or NULL. */
    const char *option;
};

static char text[] = "/tmp/segue-bench-run-XXXXXX";
static char awk_loop[200], python_loop[300], sql[300];
static unsigned divisor = 1;

/* Text that compresses as text does. */
static void write_text(void)
{
    int descriptor = mkstemp(text);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    uint64_t random = 88172645463325252u;
    size_t written = 0;
    if (!file)
        bench_fail("no temporary file");
    while (written < FILE_SIZE / divisor) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        written += (size_t)fprintf(file, "%08x some text that repeats itself %u times\n", (unsigned)(random % 5000),
                                   (unsigned)(random >> 40) % 97);
    }
    if (fclose(file) != 0)
        bench_fail("cannot write %s", text);
}

static void setup(void)
{
    if (bench_is_quick())
        divisor = QUICK;
    setenv("PATH", "/usr/bin:/bin", 1);
    write_text();
    snprintf(awk_loop, sizeof awk_loop, "BEGIN {for (i = 0; i < %u; i++) {s += i * i %% 7; t[i %% 1000] = s} print s}",
             12000000 / divisor);
    snprintf(python_loop, sizeof python_loop,
             "class R: pass\n"
             "def f(n):\n"
             "  s=0; r=R(); r.x=1; d={}\n"
             "  for i in range(n):\n"
             "    r.x+=i&3; d[i%%97]=str(r.x); s+=len(d[i%%97])\n"
             "  return s\n"
             "print(f(%u))",
             8000000 / divisor);
    snprintf(sql, sizeof sql,
             "with recursive c(x) as (select 1 union all select x+1 from c where x<%u) "
             "select sum(x*x%%7), count(distinct x%%1000), max(substr(x||'abc',2)) from c;",
             4000000 / divisor);
}

static void teardown(void)
{
    unlink(text);
}

static void run_words(const struct command *command, const char *const *words)
{
    const char *arguments[WORDS + 3] = {SEGUE_RUN_PROGRAM, command->option};
    posix_spawn_file_actions_t actions;
    size_t held = !command->is_under_segue ? 0 : command->option ? 2 : 1;
    pid_t child;
    int status;
    for (size_t i = 0; words[i]; i++)
        arguments[held++] = words[i];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&child, arguments[0], &actions, NULL, (char **)(uintptr_t)arguments, environ) != 0)
        bench_fail("cannot run %s", arguments[0]);
    posix_spawn_file_actions_destroy(&actions);
    if (waitpid(child, &status, 0) != child || status != 0)
        bench_fail("%s ended with status %#x", words[0], (unsigned)status);
}

static void run(const struct bench_variant *variant, unsigned operations)
{
    const struct command *command = variant->context;
    for (unsigned i = 0; i < operations; i++)
        for (size_t j = 0; j < 4 && command->words[j][0]; j++)
            run_words(command, command->words[j]);
}

#define GZIP                                                                                                           \
    {                                                                                                                  \
        "gzip", "-9", "-c", text                                                                                       \
    }
#define AWK                                                                                                            \
    {                                                                                                                  \
        "awk", awk_loop                                                                                                \
    }
#define SQLITE                                                                                                         \
    {                                                                                                                  \
        "sqlite3", ":memory:", sql                                                                                     \
    }
#define PYTHON                                                                                                         \
    {                                                                                                                  \
        "python3", "-c", python_loop                                                                                   \
    }

#define DD                                                                                                             \
    {                                                                                                                  \
        "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=20000"                                                    \
    }

/* Each command twice. */
#define COMMAND(name, ...)                                                                                             \
    static struct command name##_native = {{__VA_ARGS__}, false, NULL}, name##_run = {{__VA_ARGS__}, true, NULL}
#define VARIANTS(name_, text_)                                                                                         \
    {.name = #name_ "_native", .what = text_, .run = run, .context = &name_##_native},                                 \
    {                                                                                                                  \
        .name = #name_, .what = text_ ", under segue run", .run = run, .context = &name_##_run                         \
    }

COMMAND(cpu_bound, GZIP, AWK, SQLITE, PYTHON);
COMMAND(gzip, GZIP);
COMMAND(awk, AWK);
COMMAND(sqlite, SQLITE);
COMMAND(python, PYTHON);
COMMAND(start_busybox, {"busybox", "true"});
COMMAND(start_python, {"python3", "-c", "pass"});
COMMAND(dd, DD);
static struct command dd_rewrite_run = {{DD}, true, "--syscalls=rewrite"};

static const struct bench_variant variants[] = {
    VARIANTS(cpu_bound, "the four that follow"),
    VARIANTS(gzip, "gzip -9 of 50 MiB"),
    VARIANTS(awk, "a loop in awk"),
    VARIANTS(sqlite, "a query of sqlite3's own making"),
    VARIANTS(python, "a loop in python3"),
    VARIANTS(start_busybox, "busybox true, static"),
    VARIANTS(start_python, "python3 -c pass"),
    VARIANTS(dd, "dd bs=1, 40,000 system calls"),
    {
        .name = "dd_rewrite",
        .what = "dd bs=1, under segue run --syscalls=rewrite",
        .run = run,
        .context = &dd_rewrite_run,
    },
};

static const struct bench_ratio ratios[] = {
    {"cpu_bound_over_native", "cpu_bound", "cpu_bound_native"},
    {"gzip_over_native", "gzip", "gzip_native"},
    {"awk_over_native", "awk", "awk_native"},
    {"sqlite_over_native", "sqlite", "sqlite_native"},
    {"python_over_native", "python", "python_native"},
    {"start_busybox_over_native", "start_busybox", "start_busybox_native"},
    {"start_python_over_native", "start_python", "start_python_native"},
    {"dd_over_native", "dd", "dd_native"},
    {"dd_rewrite_over_native", "dd_rewrite", "dd_native"},
};

const struct bench_suite bench_suite = {
    .name = "run",
    .title = "Programs with FS taken away",
    .clock = BENCH_CLOCK_CHILDREN,
    .operations = 1,
    .rounds = 7,
    .quick_rounds = 3,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
    .teardown = teardown,
};
