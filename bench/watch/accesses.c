/* accesses.c: what watched memory costs: a neighbour of a watched variable, one at a constant address, and an access to
 * the variable itself, counted, or as a line of `segue watch`; beside gdb's hardware watchpoints.
 *
 * The first ones are measured in this process; the lines and gdb in others, which run this program as their victim, by
 * the processor time of all processes, less that of the same without accesses. */
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/bench.h"

#define PAGE 4096u
#define RANGES 10000u

/* Each on pages of its own; the victim's is seen by its name. */
static struct page {
    volatile long cells[PAGE / sizeof(long)];
} native_page __attribute__((aligned(PAGE))), one_page __attribute__((aligned(PAGE))),
    counted_page __attribute__((aligned(PAGE)));
static struct many {
    volatile long cells[2 * RANGES];
} many __attribute__((aligned(PAGE)));
extern volatile long victim_counter;
volatile long victim_counter;

/* The worst there is: each access waits for the one before it. The comment keeps the compiler from making one function
 * of several: each has a site of its own. And it must not know the address, which would then be a constant one. */
#define HAMMER(name)                                                                                                   \
    __attribute__((noinline)) static void name(volatile long *at, unsigned times)                                      \
    {                                                                                                                  \
        __asm__ volatile("" : "+r"(at));                                                                               \
        while (times--)                                                                                                \
            __asm__ volatile("incq %0 # " #name : "+m"(*at));                                                          \
    }
#define HAMMER_CONSTANT(name, cell)                                                                                    \
    __attribute__((noinline)) static void name(unsigned times)                                                         \
    {                                                                                                                  \
        while (times--)                                                                                                \
            __asm__ volatile("incq %0 # " #name : "+m"(cell));                                                         \
    }
HAMMER(hammer_native)
HAMMER(hammer_one)
HAMMER(hammer_many)
HAMMER(hammer_counted)
HAMMER(hammer_victim)
HAMMER_CONSTANT(hammer_constant_native, native_page.cells[9])
HAMMER_CONSTANT(hammer_constant, one_page.cells[9])

static void run_native(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    hammer_native(&native_page.cells[1], operations);
}

static void run_one(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    hammer_one(&one_page.cells[1], operations);
}

static void run_many(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    hammer_many(&many.cells[2 * 777 + 1], operations);
}

static void run_counted(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    hammer_counted(&counted_page.cells[0], operations);
}

static void run_constant_native(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    hammer_constant_native(operations);
}

static void run_constant(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    hammer_constant(operations);
}

/* ---- other processes ---- */

static char self[4096];

extern void victim_begins(void);
__attribute__((noinline)) void victim_begins(void)
{
    __asm__ volatile("");
}

static int be_victim(unsigned accesses)
{
    victim_begins();
    hammer_victim(&victim_counter, accesses);
    return 0;
}

/* Seconds of processor time, of the child and of its own. */
static double time_of(char *const *command)
{
    int status = -1;
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) ||
            !freopen("/dev/null", "w", stderr))
            _exit(127);
        execvp(command[0], command);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
        bench_fail("%s failed with status %#x", command[0], status);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double watched_seconds(unsigned accesses)
{
    char number[16];
    snprintf(number, sizeof number, "%u", accesses);
    char *command[] = {(char *)SEGUE_TOOL, "watch", "-o", "/dev/null", "victim_counter", "--", self,
                       "--victim",         number,  NULL};
    return time_of(command);
}

static double gdb_seconds(unsigned accesses)
{
    char run[64];
    snprintf(run, sizeof run, "run --victim %u", accesses);
    char *command[] = {"gdb",
                       "-nx",
                       "-batch",
                       "-ex",
                       "set can-use-hw-watchpoints 1",
                       "-ex",
                       "break victim_begins",
                       "-ex",
                       run,
                       "-ex",
                       "watch victim_counter if victim_counter < 0",
                       "-ex",
                       "continue",
                       self,
                       NULL};
    return time_of(command);
}

static double per_access(double seconds(unsigned accesses), unsigned accesses)
{
    double without = seconds(0);
    return (seconds(accesses) - without) * 1e9 / accesses;
}

static double measure_line(const struct bench_variant *variant)
{
    (void)variant;
    return per_access(watched_seconds, bench_is_quick() ? 20000 : 50000);
}

static double measure_gdb(const struct bench_variant *variant)
{
    (void)variant;
    return per_access(gdb_seconds, bench_is_quick() ? 1000 : 3000);
}

static const struct bench_variant variants[] = {
    {.name = "native", .what = "read-modify-write, not watched", .run = run_native},
    {.name = "neighbour", .what = "of a watched variable, on its page", .run = run_one},
    {.name = "many", .what = "the same among 10,000 ranges", .run = run_many},
    {.name = "constant_native", .what = "at a constant address, not watched", .run = run_constant_native},
    {.name = "constant_neighbour", .what = "at a constant address, on the page", .run = run_constant},
    {.name = "count_hit", .what = "an access that is counted", .run = run_counted},
    {.name = "event_hit", .what = "a line of segue watch for an access", .measured = measure_line},
    {.name = "gdb_hardware_hit", .what = "gdb's hardware watchpoint, with a condition", .measured = measure_gdb},
};

static const struct bench_ratio ratios[] = {
    {"watch_neighbour_over_native", "neighbour", "native"},
    {"watch_constant_neighbour_over_native", "constant_neighbour", "constant_native"},
    {"watch_many_over_one", "many", "neighbour"},
    {"gdb_hardware_hit_over_watch_count_hit", "gdb_hardware_hit", "count_hit"},
    {"gdb_hardware_hit_over_watch_event_hit", "gdb_hardware_hit", "event_hit"},
};

static void check(bool condition, const char *what)
{
    if (!condition)
        bench_fail("%s", what);
}

static void begin(const volatile void *address, uint32_t flags)
{
    const struct segue_watch watch = {.address = address, .size = sizeof(long), .flags = SEGUE_WATCH_WRITE | flags};
    uint64_t id;
    if (segue_watch_add(&watch, 1, &id) != SEGUE_OK)
        bench_fail("memory cannot be watched: %s", segue_reason());
}

static void begin_many(void)
{
    static struct segue_watch watches[RANGES];
    static uint64_t ids[RANGES];
    for (size_t i = 0; i < RANGES; i++)
        watches[i] =
            (struct segue_watch){.address = &many.cells[2 * i], .size = sizeof(long), .flags = SEGUE_WATCH_WRITE};
    if (segue_watch_add(watches, RANGES, ids) != SEGUE_OK)
        bench_fail("memory cannot be watched: %s", segue_reason());
}

/* No more events than the watched accesses: here one of each. */
static void prove(void)
{
    struct segue_watch_record record;
    size_t count;
    hammer_one(&one_page.cells[1], 100);
    hammer_many(&many.cells[1], 100);
    hammer_constant(100);
    check(segue_watch_read(&record, 1, 0, &count, NULL) == SEGUE_TIMEOUT, "a neighbour was reported");
    one_page.cells[0] = 1;
    check(segue_watch_read(&record, 1, 0, &count, NULL) == SEGUE_OK, "an access was not reported");
    many.cells[2 * 777] = 1;
    check(segue_watch_read(&record, 1, 0, &count, NULL) == SEGUE_OK, "an access to one of many was not reported");
}

/* Each instruction becomes a hot site by its own first access, for its own page: the loops lie side by side. */
static void setup(void)
{
    static const struct segue_hot_options options = {.flags = SEGUE_HOT_NOT_EAGER};
    if (segue_hot_configure(&options) != SEGUE_OK)
        bench_fail("%s", segue_reason());
    if (segue_install(NULL) != SEGUE_OK || segue_suspend_install(NULL) != SEGUE_OK)
        bench_fail("the library cannot be installed: %s", segue_reason());
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    check(length > 0, "/proc/self/exe cannot be read");
    if (system("command -v gdb >/dev/null 2>&1") != 0)
        bench_skip("gdb_hardware_hit", "gdb is not installed");
    begin(&one_page.cells[0], 0);
    begin(&counted_page.cells[0], SEGUE_WATCH_COUNT);
    begin_many();
    prove();
}

static const struct bench_suite suite = {
    .name = "watch_accesses",
    .title = "memory that is watched, an access",
    .clock = CLOCK_THREAD_CPUTIME_ID,
    .operations = 200000,
    .warm_up = 1000,
    .rounds = 30,
    .quick_rounds = 4,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], "--victim") == 0)
        return be_victim((unsigned)atoi(arguments[2]));
    return bench_main(count, arguments, &suite);
}
