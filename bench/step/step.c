/* step.c: what stepping an instruction costs, class by class, beside the floor: an empty handler that skips the same
 * instruction and returns. All through an alias window, one fault an operation. And without a signal, beside Unicorn.
 */
#include <errno.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "bench/harness/bench.h"
#include "classes.h"
#include "direct.h"

#define PAGE 4096u

static struct segue_mapping mapping;
static struct sigaction ours, floor_action;
static unsigned skipped_length;
static uint64_t steps_expected;

/* A variant: which instruction, and whether the floor answers its faults. */
struct way {
    enum class_number number;
    bool is_floor;
};

static void skip_instruction(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += skipped_length;
}

/* A register's upper half that is in use makes the processor slower with instructions that do not know of it, also when
 * they fault; so compilers leave none in use. */
__attribute__((target("avx"))) static void clear_upper_halves(void)
{
    __asm__ volatile("vzeroupper");
}

/* All lanes of sixteen. */
__attribute__((target("avx512f"))) static void set_mask(void)
{
    __asm__ volatile("kmovw %0, %%k1" : : "r"(0xffff));
}

static void use_way(const struct bench_variant *variant)
{
    const struct way *way = variant->context;
    skipped_length = class_lengths[way->number];
    if (sigaction(SIGSEGV, way->is_floor ? &floor_action : &ours, NULL) != 0)
        bench_fail("sigaction: %s", strerror(errno));
    __asm__ volatile("fninit");
    if (__builtin_cpu_supports("avx"))
        clear_upper_halves();
    if (__builtin_cpu_supports("avx512f"))
        set_mask();
    /* Registers are in use as after the instruction, also where it is skipped: the kernel's part depends on it. */
    class_functions[way->number](mapping.alias);
}

static void run_way(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    class_function *function = class_functions[way->number];
    for (unsigned i = 0; i < operations; i++)
        function(mapping.memory);
    if (!way->is_floor)
        steps_expected += operations;
}

static void run_direct(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    direct_step(way->number, operations);
}

static void run_unicorn(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    direct_unicorn(way->number, operations);
}

static void run_unicorn_counted(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    direct_unicorn_counted(way->number, operations);
}

#define WAY(...)                                                                                                       \
    .prepare = use_way, .run = run_way, .context = &(struct way)                                                       \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

/* The class without a signal: stepped, and by Unicorn in two ways. */
#define DIRECT_WAY(name_, what_, run_, of)                                                                             \
    {                                                                                                                  \
        .name = name_, .what = what_, .run = run_, .context = &(struct way)                                            \
        {                                                                                                              \
            of, false                                                                                                  \
        }                                                                                                              \
    }
#define DIRECT(word, of)                                                                                               \
    DIRECT_WAY("direct_" word, word " without a signal: planned and stepped", run_direct, of),                         \
        DIRECT_WAY("unicorn_" word, word ", by Unicorn", run_unicorn, of),                                             \
        DIRECT_WAY("unicorn_counted_" word, word ", by Unicorn, counted", run_unicorn_counted, of),
#define DIRECT_RATIOS(word)                                                                                            \
    {word "_direct_speedup_over_unicorn", "unicorn_" word, "direct_" word},                                            \
        {word "_direct_speedup_over_unicorn_counted", "unicorn_counted_" word, "direct_" word},

static const struct bench_variant variants[] = {
    {.name = "floor", .what = "load: empty handler skips it", WAY(CLASS_MOVE, true)},
    {.name = "floor_store", .what = "store: empty handler skips it", WAY(CLASS_MOVE_STORE, true)},
    {.name = "floor_sse", .what = "load of 16 bytes: empty handler skips it", WAY(CLASS_SSE_LOAD, true)},
    {.name = "floor_avx", .what = "load of 32 bytes: empty handler skips it", WAY(CLASS_AVX_LOAD, true)},
    {.name = "floor_avx512", .what = "load of 64 bytes: empty handler skips it", WAY(CLASS_AVX512_LOAD, true)},
    {.name = "floor_masked", .what = "masked operand: empty handler skips it", WAY(CLASS_AVX512_MASKED, true)},
    {.name = "floor_x87", .what = "x87 load: empty handler skips it", WAY(CLASS_X87, true)},
    {.name = "move", .what = "mov rax, [rdi]", WAY(CLASS_MOVE, false)},
    {.name = "move_store", .what = "mov [rdi], rax", WAY(CLASS_MOVE_STORE, false)},
    {.name = "alu", .what = "add rax, [rdi]", WAY(CLASS_ALU, false)},
    {.name = "rmw", .what = "add [rdi], rax", WAY(CLASS_RMW, false)},
    {.name = "lock", .what = "lock add [rdi], rax", WAY(CLASS_LOCK, false)},
    {.name = "sse_load", .what = "movaps xmm0, [rdi]", WAY(CLASS_SSE_LOAD, false)},
    {.name = "sse_compute", .what = "addps xmm0, [rdi]", WAY(CLASS_SSE_COMPUTE, false)},
    {.name = "avx_load", .what = "vmovdqa ymm0, [rdi]", WAY(CLASS_AVX_LOAD, false)},
    {.name = "avx_compute", .what = "vaddps ymm0, ymm0, [rdi]", WAY(CLASS_AVX_COMPUTE, false)},
    {.name = "avx512_load", .what = "vmovdqa64 zmm0, [rdi]", WAY(CLASS_AVX512_LOAD, false)},
    {.name = "avx512_masked", .what = "vpaddd zmm0 {k1}{z}, zmm0, [rdi]", WAY(CLASS_AVX512_MASKED, false)},
    {.name = "x87", .what = "fld dword [rdi]", WAY(CLASS_X87, false)},
    {.name = "compare", .what = "cmp dword [rdi], 1", WAY(CLASS_COMPARE, false)},
    {.name = "string", .what = "scasq", WAY(CLASS_STRING, false)},
    DIRECT("move", CLASS_MOVE) DIRECT("alu", CLASS_ALU) DIRECT("rmw", CLASS_RMW) DIRECT("lock", CLASS_LOCK)
        DIRECT("sse_load", CLASS_SSE_LOAD) DIRECT("sse_compute", CLASS_SSE_COMPUTE) DIRECT("x87", CLASS_X87)
            DIRECT("compare", CLASS_COMPARE) DIRECT("string", CLASS_STRING)};

static const struct bench_ratio ratios[] = {
    {"move_over_floor", "move", "floor"},
    {"move_store_over_floor", "move_store", "floor_store"},
    {"alu_over_floor", "alu", "floor"},
    {"rmw_over_floor", "rmw", "floor_store"},
    {"lock_over_floor", "lock", "floor_store"},
    {"sse_load_over_floor", "sse_load", "floor_sse"},
    {"sse_compute_over_floor", "sse_compute", "floor_sse"},
    {"avx_load_over_floor", "avx_load", "floor_avx"},
    {"avx_compute_over_floor", "avx_compute", "floor_avx"},
    {"avx512_load_over_floor", "avx512_load", "floor_avx512"},
    {"avx512_masked_over_floor", "avx512_masked", "floor_masked"},
    {"x87_over_floor", "x87", "floor_x87"},
    {"compare_over_floor", "compare", "floor"},
    {"string_over_floor", "string", "floor"},
    DIRECT_RATIOS("move") DIRECT_RATIOS("alu") DIRECT_RATIOS("rmw") DIRECT_RATIOS("lock") DIRECT_RATIOS("sse_load")
        DIRECT_RATIOS("sse_compute") DIRECT_RATIOS("x87") DIRECT_RATIOS("compare") DIRECT_RATIOS("string")};

/* Of the classes that are replayed, the slowest. */
static const char *const replayed[] = {
    "alu_over_floor",           "rmw_over_floor",      "lock_over_floor",        "sse_load_over_floor",
    "sse_compute_over_floor",   "avx_load_over_floor", "avx_compute_over_floor", "avx512_load_over_floor",
    "avx512_masked_over_floor", "x87_over_floor",      "compare_over_floor",     "string_over_floor",
};
static const char *const speedups[] = {
    "alu_direct_speedup_over_unicorn",         "rmw_direct_speedup_over_unicorn",
    "lock_direct_speedup_over_unicorn",        "sse_load_direct_speedup_over_unicorn",
    "sse_compute_direct_speedup_over_unicorn", "x87_direct_speedup_over_unicorn",
    "compare_direct_speedup_over_unicorn",     "string_direct_speedup_over_unicorn",
};
static const char *const speedups_counted[] = {
    "alu_direct_speedup_over_unicorn_counted",         "rmw_direct_speedup_over_unicorn_counted",
    "lock_direct_speedup_over_unicorn_counted",        "sse_load_direct_speedup_over_unicorn_counted",
    "sse_compute_direct_speedup_over_unicorn_counted", "x87_direct_speedup_over_unicorn_counted",
    "compare_direct_speedup_over_unicorn_counted",     "string_direct_speedup_over_unicorn_counted",
};

static const struct bench_extreme extremes[] = {
    {"replay_over_floor", BENCH_GREATEST, replayed, COUNT(replayed)},
    {"replay_direct_speedup_over_unicorn", BENCH_LEAST, speedups, COUNT(speedups)},
    {"replay_direct_speedup_over_unicorn_counted", BENCH_LEAST, speedups_counted, COUNT(speedups_counted)},
};

static void check(enum segue_status status, const char *what)
{
    if (status != SEGUE_OK)
        bench_fail("%s: %s", what, segue_status_text(status));
}

static void leave_out_what_is_missing(void)
{
    if (!__builtin_cpu_supports("avx")) {
        bench_skip("floor_avx", "this processor has no AVX");
        bench_skip("avx_load", "this processor has no AVX");
        bench_skip("avx_compute", "this processor has no AVX");
    }
    if (!__builtin_cpu_supports("avx512f")) {
        bench_skip("floor_avx512", "this processor has no AVX-512");
        bench_skip("floor_masked", "this processor has no AVX-512");
        bench_skip("avx512_load", "this processor has no AVX-512");
        bench_skip("avx512_masked", "this processor has no AVX-512");
    }
}

static void setup(void)
{
    /* What the default flags add to the way out, bench/fault/fault measures. */
    const struct segue_options options = {.flags = SEGUE_INSTALL_OPEN_SIGNALS};
    check(segue_install(&options), "segue_install");
    check(segue_mapping_create(NULL, PAGE, &mapping), "segue_mapping_create");
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = mapping.alias},
    };
    check(segue_region_add(&region), "segue_region_add");
    if (mprotect(mapping.memory, PAGE, PROT_NONE) != 0 || sigaction(SIGSEGV, NULL, &ours) != 0)
        bench_fail("mprotect or sigaction: %s", strerror(errno));
    floor_action = ours;
    floor_action.sa_sigaction = skip_instruction;
    leave_out_what_is_missing();
    direct_prepare(mapping.memory, mapping.alias);
}

/* Every fault that was meant for the library was stepped by it, and there were no others. */
static void teardown(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    if (counters.stepped != steps_expected || counters.faults != steps_expected)
        bench_fail("%llu faults were meant for the library; it saw %llu and stepped %llu",
                   (unsigned long long)steps_expected, (unsigned long long)counters.faults,
                   (unsigned long long)counters.stepped);
    direct_release();
    bench_note("faults_stepped", (double)counters.stepped, "faults");
    sigaction(SIGSEGV, &ours, NULL);
    check(segue_region_remove(mapping.memory), "segue_region_remove");
    check(segue_mapping_destroy(&mapping), "segue_mapping_destroy");
    check(segue_uninstall(NULL), "segue_uninstall");
}

const struct bench_suite bench_suite = {
    .name = "step",
    .title = "stepping an instruction, class by class",
    .clock = CLOCK_MONOTONIC,
    .operations = 64,
    .warm_up = 8,
    .rounds = 1500,
    .quick_rounds = 300,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .extremes = extremes,
    .extreme_count = COUNT(extremes),
    .setup = setup,
    .teardown = teardown,
};
