/* hot.c: what hot sites cost: the heap demos and the weak-table demo, as programs of their own; whole programs beside
 * Valgrind, which watches nothing; and loops around one load.
 *
 * A program's plain and hot runs are in one process. The plain ones come first: afterwards its code is changed. Each
 * round starts new processes. */
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/harness/bench.h"
#include "child.h"
#include "loops.h"

#define LOADS 2000000u
/* Runs of a whole program's script, so that its start weighs little. */
#define WHOLE_RUNS "30"
#define QUICK_RUNS "4"
#define WEAK_LOOKUPS "50000"
#define QUICK_WEAK_LOOKUPS "10000"

static const char lua[] = SEGUE_HOT_DEMOS "/lua_heap", sqlite[] = SEGUE_HOT_DEMOS "/sqlite_heap",
                  python[] = SEGUE_HOT_DEMOS "/python_heap", weak[] = SEGUE_HOT_DEMOS "/weak_table";

/* --- Programs. --- */

/* In each of these a plain way, and one that is watched. */
#define CHILD(name, ...) static struct child name = {.words = {__VA_ARGS__, "--figures", NULL}}
CHILD(lua_hot, lua, "--ways", "plain,hot");
CHILD(lua_count, lua, "--ways", "plain,counted");
CHILD(lua_policy, lua, "--ways", "plain,policy");
CHILD(sqlite_hot, sqlite, "--ways", "plain,hot");
CHILD(sqlite_count, sqlite, "--ways", "plain,counted");
CHILD(sqlite_policy, sqlite, "--ways", "plain,policy");
CHILD(python_hot, python, "--ways", "plain,hot", SEGUE_HOT_WORK);
CHILD(python_count, python, "--ways", "plain,counted", SEGUE_HOT_WORK);
CHILD(python_policy, python, "--ways", "plain,policy", SEGUE_HOT_WORK);
CHILD(weak_table, weak, "--collections", "3", "--lookups", WEAK_LOOKUPS);
CHILD(sqlite_whole, sqlite, "--ways", "hot", "--runs", WHOLE_RUNS);
CHILD(sqlite_valgrind, "valgrind", "--tool=none", "-q", sqlite, "--ways", "plain", "--runs", WHOLE_RUNS);

static double take_figure(const struct bench_variant *variant)
{
    return child_take(variant->context);
}

static double take_thousands(const struct bench_variant *variant)
{
    return child_take(variant->context) / 1000;
}

static double take_cpu(const struct bench_variant *variant)
{
    return child_take_cpu(variant->context);
}

#define FIGURE(child_, line_, field_, index_)                                                                          \
    &(struct child_figure)                                                                                             \
    {                                                                                                                  \
        .child = &child_, .line = line_, .field = field_, .index = index_                                              \
    }
#define TIME(name_, what_, child_, line_, field_)                                                                      \
    {                                                                                                                  \
        .name = name_, .what = what_, .measured = take_figure, .context = FIGURE(child_, line_, field_, 0)             \
    }
#define NUMBER(name_, what_, unit_, measured_, child_, field_)                                                         \
    {                                                                                                                  \
        .name = name_, .what = what_, .unit = unit_, .measured = measured_,                                            \
        .context = FIGURE(child_, "counted", field_, 1)                                                                \
    }

/* --- Loops. --- */

static struct segue_mapping closed;
static void **open_cell;

static void map_cells(void)
{
    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, 4096, &closed) != SEGUE_OK)
        bench_fail("memory cannot be watched");
    open_cell = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (open_cell == MAP_FAILED)
        bench_fail("no memory");
    /* Each points to itself. */
    *open_cell = open_cell;
    *(void **)closed.alias = closed.memory;
    struct segue_region region = {.window = segue_mapping_window(&closed), .flags = SEGUE_REGION_HOT};
    if (segue_region_add(&region) != SEGUE_OK || segue_mapping_protect(&closed, 0, closed.size, 0) != SEGUE_OK)
        bench_fail("memory cannot be watched");
}

/* Memory of the file, at a free place that the code's displacements reach. */
static void *map_near(const char *page, int file)
{
    for (uint64_t away = LOOPS_PAGE << 8; away < UINT64_C(1) << 30; away += LOOPS_PAGE << 8) {
        void *at = (void *)((uintptr_t)page - away);
        void *mapped = mmap(at, LOOPS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
        if (mapped == at)
            return mapped;
    }
    bench_fail("no memory is free near the program");
}

/* The page becomes a hot region. */
static void map_constant(void)
{
    int file = memfd_create("bench_hot", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, LOOPS_PAGE) ||
        mmap(loops_hot_page, LOOPS_PAGE, PROT_NONE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
        bench_fail("no shared memory");
    const struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)loops_hot_page,
                   .size = LOOPS_PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = map_near(loops_hot_page, file)},
        .flags = SEGUE_REGION_HOT,
    };
    if (segue_region_add(&region) != SEGUE_OK)
        bench_fail("memory cannot be watched");
}

static enum segue_status count_hot(void *context, const struct segue_patch *patch)
{
    *(unsigned *)context += (patch->kind == SEGUE_PATCH_HOT || patch->kind == SEGUE_PATCH_CONSTANT) && !patch->undone;
    return SEGUE_OK;
}

static uint64_t count_faults(void)
{
    struct segue_counters counters = {0};
    segue_counters_read(&counters);
    return counters.faults;
}

static uint64_t faults_before;

/* The loops meet the closed pages, and become hot. */
static void heat(void)
{
    unsigned hot = 0;
    load_hot(closed.memory, 64);
    if (chase_hot(closed.memory, 64) != closed.memory)
        bench_fail("a chase went astray");
    /* The bodies have been made while there was one region: they look for no other. */
    map_constant();
    constant_hot(64);
    segue_patches_list(0, SIZE_MAX, count_hot, &hot);
    if (hot < 3)
        bench_fail("of the three loops %u became hot", hot);
    faults_before = count_faults();
}

/* Where a loop loads: known at run time. */
static void *const *const inside = &closed.memory;

static void run_load_native(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    load_native(open_cell, (uint64_t)operations * LOADS);
}

static void run_load_inside(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    load_hot(*inside, (uint64_t)operations * LOADS);
}

static void run_load_outside(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    load_hot(open_cell, (uint64_t)operations * LOADS);
}

static void run_chase_native(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    if (chase_native(open_cell, (uint64_t)operations * LOADS) != open_cell)
        bench_fail("a chase went astray");
}

static void run_chase_hot(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    if (chase_hot(*inside, (uint64_t)operations * LOADS) != *inside)
        bench_fail("a chase went astray");
}

static void run_constant_native(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    constant_native((uint64_t)operations * LOADS);
}

static void run_constant_hot(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    constant_hot((uint64_t)operations * LOADS);
}

/* --- The suite. --- */

static const struct bench_variant variants[] = {
    TIME("lua_plain", "Lua's workload, on malloc", lua_hot, "plain", "further"),
    TIME("lua_hot", "the same, every access at a hot site", lua_hot, "hot", "further"),
    TIME("lua_first", "the first run of that: code is changed", lua_hot, "hot", "first"),
    TIME("lua_count_plain", "as lua_plain, before lua_count", lua_count, "plain", "further"),
    TIME("lua_count", "every access counted", lua_count, "counted", "further"),
    TIME("lua_policy_plain", "as lua_plain, before lua_policy", lua_policy, "plain", "further"),
    TIME("lua_policy", "a function in C at every access", lua_policy, "policy", "further"),
    TIME("sqlite_plain", "SQLite's script, 10,000 rows", sqlite_hot, "plain", "further"),
    TIME("sqlite_hot", "the same, every access at a hot site", sqlite_hot, "hot", "further"),
    TIME("sqlite_first", "the first run of that: code is changed", sqlite_hot, "hot", "first"),
    TIME("sqlite_count_plain", "as sqlite_plain, before sqlite_count", sqlite_count, "plain", "further"),
    TIME("sqlite_count", "every access counted", sqlite_count, "counted", "further"),
    TIME("sqlite_policy_plain", "as sqlite_plain, before sqlite_policy", sqlite_policy, "plain", "further"),
    TIME("sqlite_policy", "a function in C at every access", sqlite_policy, "policy", "further"),
    TIME("python_plain", "CPython runs work.py", python_hot, "plain", "further"),
    TIME("python_hot", "the same, every access to arenas at a hot site", python_hot, "hot", "further"),
    TIME("python_first", "the first run of that: code is changed", python_hot, "hot", "first"),
    TIME("python_count_plain", "as python_plain, before python_count", python_count, "plain", "further"),
    TIME("python_count", "every access counted", python_count, "counted", "further"),
    TIME("python_policy_plain", "as python_plain, before python_policy", python_policy, "plain", "further"),
    TIME("python_policy", "a function in C at every access", python_policy, "policy", "further"),
    TIME("weak_table_stepped", "a lookup by the weak table's mutator, stepped", weak_table, "stepping", NULL),
    TIME("weak_table_hot", "the same with a hot barrier", weak_table, "hot", NULL),
    {
        .name = "sqlite_whole",
        .what = "a process that runs SQLite's script 30 times (with --quick 4), hot",
        .measured = take_cpu,
        .context = FIGURE(sqlite_whole, "", NULL, 0),
    },
    {
        .name = "sqlite_nulgrind",
        .what = "the same, plain, under valgrind --tool=none",
        .measured = take_cpu,
        .context = FIGURE(sqlite_valgrind, "", NULL, 0),
    },
    NUMBER("lua_faults", "faults left in a further run", "faults", take_figure, lua_count, "faults"),
    NUMBER("lua_accesses", "accesses at hot sites in that run", "thousands", take_thousands, lua_count, "accesses"),
    NUMBER("sqlite_faults", "faults left in a further run", "faults", take_figure, sqlite_count, "faults"),
    NUMBER("sqlite_accesses", "accesses at hot sites in that run", "thousands", take_thousands, sqlite_count,
           "accesses"),
    {.name = "load_native", .what = "2,000,000 loads in a loop", .run = run_load_native},
    {.name = "load_inside", .what = "at a hot site, of the region", .run = run_load_inside},
    {.name = "load_outside", .what = "at a hot site, of other memory", .run = run_load_outside},
    {.name = "chase_native", .what = "2,000,000 loads, each of the next one's address", .run = run_chase_native},
    {.name = "chase_inside", .what = "at a hot site, of the region", .run = run_chase_hot},
    {.name = "constant_native", .what = "2,000,000 loads from a constant address", .run = run_constant_native},
    {.name = "constant_inside", .what = "at a hot site, of the region", .run = run_constant_hot},
};

static const struct bench_ratio ratios[] = {
    {"hot_lua_over_plain", "lua_hot", "lua_plain"},
    {"hot_sqlite_over_plain", "sqlite_hot", "sqlite_plain"},
    {"hot_python_over_plain", "python_hot", "python_plain"},
    {"hot_lua_count_over_plain", "lua_count", "lua_count_plain"},
    {"hot_sqlite_count_over_plain", "sqlite_count", "sqlite_count_plain"},
    {"hot_python_count_over_plain", "python_count", "python_count_plain"},
    {"hot_lua_policy_over_plain", "lua_policy", "lua_policy_plain"},
    {"hot_sqlite_policy_over_plain", "sqlite_policy", "sqlite_policy_plain"},
    {"hot_python_policy_over_plain", "python_policy", "python_policy_plain"},
    {"hot_lua_first_over_plain", "lua_first", "lua_plain"},
    {"hot_sqlite_first_over_plain", "sqlite_first", "sqlite_plain"},
    {"hot_python_first_over_plain", "python_first", "python_plain"},
    {"hot_sqlite_over_nulgrind", "sqlite_whole", "sqlite_nulgrind"},
    {"hot_inside_over_native", "load_inside", "load_native"},
    {"hot_outside_over_native", "load_outside", "load_native"},
    {"hot_dependent_over_native", "chase_inside", "chase_native"},
    {"hot_constant_over_native", "constant_inside", "constant_native"},
    {"hot_weak_table_over_stepped", "weak_table_hot", "weak_table_stepped"},
    {"hot_lua_faults_per_thousand", "lua_faults", "lua_accesses"},
    {"hot_sqlite_faults_per_thousand", "sqlite_faults", "sqlite_accesses"},
};

static const char *const faults[] = {"hot_lua_faults_per_thousand", "hot_sqlite_faults_per_thousand"};
static const struct bench_extreme extremes[] = {
    {"hot_faults_per_thousand", BENCH_GREATEST, faults, COUNT(faults)},
};

/* Leaves out what belongs to a program that is missing. */
static void skip_missing(struct child *child, const char *why)
{
    if (child_is_there(child))
        return;
    for (size_t i = 0; i < COUNT(variants); i++)
        if (variants[i].measured &&
            !strcmp(((struct child_figure *)variants[i].context)->child->words[0], child->words[0]))
            bench_skip(variants[i].name, why);
}

/* With --quick each program runs less. */
static void shorten(void)
{
    static struct child *const children[] = {
        &lua_hot,    &lua_count,    &lua_policy,    &sqlite_hot,   &sqlite_count,    &sqlite_policy,
        &python_hot, &python_count, &python_policy, &sqlite_whole, &sqlite_valgrind,
    };
    for (size_t i = 0; i < COUNT(children); i++) {
        const char **end = children[i]->words;
        while (*end)
            end++;
        memcpy(end, (const char *const[]){"--runs", QUICK_RUNS}, 2 * sizeof *end);
    }
    for (const char **word = weak_table.words; *word; word++)
        if (strcmp(*word, WEAK_LOOKUPS) == 0)
            *word = QUICK_WEAK_LOOKUPS;
}

static void setup(void)
{
    if (bench_is_quick())
        shorten();
    skip_missing(&lua_hot, "lua_heap was not built: no liblua5.4-dev");
    skip_missing(&sqlite_hot, "sqlite_heap was not built: no libsqlite3-dev");
    skip_missing(&python_hot, "python_heap was not built: no libpython3-dev");
    if (child_is_there(&sqlite_hot))
        skip_missing(&sqlite_valgrind, "valgrind is not installed");
    else
        bench_skip("sqlite_nulgrind", "sqlite_heap was not built: no libsqlite3-dev");
    map_cells();
    heat();
}

static void note(struct child *child, const char *name, const char *field, double unit, const char *unit_name)
{
    if (child->runs)
        bench_note(name, child_read(FIGURE(*child, "hot", field, 0)) / unit, unit_name);
}

static void teardown(void)
{
    if (count_faults() != faults_before)
        bench_fail("the loops faulted");
    note(&lua_hot, "lua_sites", "sites", 1, "hot sites");
    note(&sqlite_hot, "sqlite_sites", "sites", 1, "hot sites");
    note(&python_hot, "python_sites", "sites", 1, "hot sites");
    note(&sqlite_hot, "sqlite_bodies", "bytes", 1024, "KiB of bodies (Pss of shared memory, /proc/self/smaps)");
    note(&sqlite_hot, "sqlite_mappings", "mappings", 1, "mappings more than before (/proc/self/smaps)");
    if (mprotect(loops_hot_page, LOOPS_PAGE, PROT_READ | PROT_WRITE) ||
        segue_region_remove(loops_hot_page) != SEGUE_OK ||
        segue_mapping_protect(&closed, 0, closed.size, SEGUE_READ | SEGUE_WRITE) != SEGUE_OK ||
        segue_region_remove(closed.memory) != SEGUE_OK || segue_uninstall(NULL) != SEGUE_OK)
        bench_fail("what was begun cannot be ended");
    segue_mapping_destroy(&closed);
}

const struct bench_suite bench_suite = {
    .name = "hot",
    .title = "hot sites",
    .clock = CLOCK_PROCESS_CPUTIME_ID,
    .operations = 1,
    .warm_up = 1,
    .rounds = 9,
    .quick_rounds = 3,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .extremes = extremes,
    .extreme_count = COUNT(extremes),
    .setup = setup,
    .teardown = teardown,
};
