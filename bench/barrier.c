/* barrier.c: what a collector's barriers cost: a stepped load of a protected weak table, alone and beside 16 other
 * threads; the same at a hot site with a policy; a test and a branch that a compiler would insert; a plan with and
 * without the library's cache; a fork with a heap of two views.
 *
 * Each variant times itself and returns the nanoseconds of one operation: they differ by a factor of a million. */
#include <pthread.h>
#include <segue/segue.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/bench.h"

#define PAGE ((size_t)4096)
#define OTHERS 16
#define STEPS 200u
#define LOADS 200000u
#define PLANS 2000u
#define HEAP ((size_t)512 << 20)
#define POPULATED ((size_t)64 << 20)

static struct segue_mapping stepped, hot;
static uint64_t *open_page;

/* ---- barriers ---- */

/* A reference to an object that has moved would be corrected here; none has. */
static uint64_t from_space = 1;

SEGUE_HOT_POLICY static void settle(uint64_t *word)
{
    uint64_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    if (value == from_space)
        __atomic_store_n(word, value + 1, __ATOMIC_RELAXED);
}

static enum segue_verdict barrier(void *context, const struct segue_event *event)
{
    (void)context;
    struct segue_words words = segue_event_words(event);
    while (segue_words_next(&words))
        settle(words.at);
    return SEGUE_STEP;
}

SEGUE_HOT_POLICY static enum segue_verdict barrier_hot(void *context, const struct segue_hot_event *event)
{
    (void)context;
    settle(event->at);
    return SEGUE_STEP;
}

/* The loads of the three ways. Each is an instruction of its own. */
#define LOADER(name)                                                                                                   \
    __attribute__((noinline)) static uint64_t name(const uint64_t *at, unsigned count)                                 \
    {                                                                                                                  \
        uint64_t value, sum = 0;                                                                                       \
        for (unsigned i = 0; i < count; i++) {                                                                         \
            __asm__ volatile("movq (%1), %0\n nop\n nop" : "=r"(value) : "r"(at) : "memory");                          \
            sum += value;                                                                                              \
        }                                                                                                              \
        return sum;                                                                                                    \
    }
LOADER(load_stepped)
LOADER(load_hot)

/* As a compiler inserts it: the barrier is in the loop, behind a test that is false where the table is not protected.
 */
static volatile bool is_protected;
__attribute__((noinline)) static uint64_t load_software(uint64_t *at, unsigned count)
{
    uint64_t value, sum = 0;
    for (unsigned i = 0; i < count; i++) {
        if (__builtin_expect(is_protected, 0))
            settle(at);
        __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(at) : "memory");
        sum += value;
    }
    return sum;
}

static double per_load(uint64_t begin, unsigned count)
{
    return (double)(bench_clock() - begin) / count;
}

static double step_alone(const struct bench_variant *variant)
{
    (void)variant;
    load_stepped(stepped.memory, 10);
    uint64_t begin = bench_clock();
    load_stepped(stepped.memory, STEPS);
    return per_load(begin, STEPS);
}

/* Threads that wait, as those of a server do. */
static sem_t end_of_others;

static void *wait_for_end(void *unused)
{
    while (sem_wait(&end_of_others) != 0)
        continue;
    return unused;
}

static double step_beside_others(const struct bench_variant *variant)
{
    pthread_t others[OTHERS];
    sem_init(&end_of_others, 0, 0);
    for (unsigned i = 0; i < OTHERS; i++)
        if (pthread_create(&others[i], NULL, wait_for_end, NULL) != 0)
            bench_fail("no threads");
    double time = step_alone(variant);
    for (unsigned i = 0; i < OTHERS; i++)
        sem_post(&end_of_others);
    for (unsigned i = 0; i < OTHERS; i++)
        pthread_join(others[i], NULL);
    return time;
}

static double hot_at(const uint64_t *at)
{
    load_hot(at, 1000);
    uint64_t begin = bench_clock();
    load_hot(at, LOADS);
    return per_load(begin, LOADS);
}

static double hot_inside(const struct bench_variant *variant)
{
    (void)variant;
    return hot_at(hot.memory);
}

static double hot_outside(const struct bench_variant *variant)
{
    (void)variant;
    return hot_at(open_page);
}

static double software(bool protected)
{
    is_protected = protected;
    load_software(open_page, 1000);
    uint64_t begin = bench_clock();
    load_software(open_page, LOADS);
    return per_load(begin, LOADS);
}

static double software_inside(const struct bench_variant *variant)
{
    (void)variant;
    return software(true);
}

static double software_outside(const struct bench_variant *variant)
{
    (void)variant;
    return software(false);
}

/* ---- plans ---- */

extern const char barrier_planned[];
__asm__(".pushsection .text\n .globl barrier_planned\n barrier_planned: movq 8(%rax,%rcx,8), %rdx\n ret\n .popsection");

static struct segue_frame frame_at_load(void)
{
    struct segue_frame frame;
    memset(&frame, 0, sizeof frame);
    frame.regs.rip = (uint64_t)(uintptr_t)barrier_planned;
    frame.regs.rax = (uint64_t)(uintptr_t)open_page;
    frame.fault.address = frame.regs.rax + 8;
    frame.fault.address_known = true;
    frame.fault.direction = SEGUE_READ;
    return frame;
}

static double plan_cached(const struct bench_variant *variant)
{
    static struct segue_plan plan;
    const struct segue_frame frame = frame_at_load();
    (void)variant;
    uint64_t begin = bench_clock();
    for (unsigned i = 0; i < PLANS; i++)
        if (segue_frame_plan(&frame, NULL, 0, &plan) != SEGUE_OK)
            bench_fail("no plan: %s", plan.refusal);
    return per_load(begin, PLANS);
}

static double plan_uncached(const struct bench_variant *variant)
{
    static struct segue_plan plan;
    const struct segue_frame frame = frame_at_load();
    struct segue_insn insn;
    uint8_t bytes[15];
    (void)variant;
    uint64_t begin = bench_clock();
    for (unsigned i = 0; i < PLANS; i++) {
        size_t size = segue_peek(bytes, frame.regs.rip, sizeof bytes);
        if (segue_decode(SEGUE_MODE_64, bytes, size, &insn) != SEGUE_OK ||
            segue_plan(&insn, &frame.regs, NULL, &frame.fault, NULL, 0, &plan) != SEGUE_OK)
            bench_fail("no plan: %s", plan.refusal);
    }
    return per_load(begin, PLANS);
}

/* ---- forks ---- */

static double fork_and_exit(void)
{
    uint64_t begin = bench_clock();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child < 0 || waitpid(child, NULL, 0) != child)
        bench_fail("no child");
    return (double)(bench_clock() - begin);
}

static double fork_private(const struct bench_variant *variant)
{
    const struct segue_mapping_options options = {.size = HEAP, .fork = SEGUE_FORK_COPY};
    struct segue_mapping heap;
    (void)variant;
    if (segue_mapping_create_with(&options, &heap) != SEGUE_OK)
        bench_fail("no heap: %s", segue_reason());
    memset(heap.memory, 1, POPULATED);
    double time = fork_and_exit();
    segue_mapping_destroy(&heap);
    return time;
}

static double fork_anonymous(const struct bench_variant *variant)
{
    char *heap = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    (void)variant;
    if (heap == MAP_FAILED)
        bench_fail("no heap");
    madvise(heap, HEAP, MADV_NOHUGEPAGE);
    memset(heap, 1, POPULATED);
    double time = fork_and_exit();
    munmap(heap, HEAP);
    return time;
}

/* ---- the suite ---- */

static void protect_table(struct segue_mapping *table, uint32_t flags)
{
    if (segue_mapping_create(NULL, PAGE, table) != SEGUE_OK)
        bench_fail("no memory with two views: %s", segue_reason());
    *(uint64_t *)table->memory = 42;
    const struct segue_region region = {.window = segue_mapping_window(table),
                                        .policy = barrier,
                                        .hot_policy = flags ? barrier_hot : NULL,
                                        .flags = flags};
    if (segue_region_add(&region) != SEGUE_OK || segue_mapping_protect(table, 0, PAGE, 0) != SEGUE_OK)
        bench_fail("no region: %s", segue_reason());
}

static uint64_t faults(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.faults;
}

static void setup(void)
{
    if (segue_install(NULL) != SEGUE_OK)
        bench_fail("segue_install: %s", segue_reason());
    open_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (open_page == MAP_FAILED)
        bench_fail("no memory");
    *open_page = 42;
    protect_table(&stepped, 0);
    protect_table(&hot, SEGUE_REGION_HOT | SEGUE_REGION_HOT_GENERAL);
    load_hot(hot.memory, 64);
    /* What the variants' names say. */
    uint64_t before = faults();
    if (load_hot(hot.memory, 64) != 64 * 42 || faults() != before)
        bench_fail("the load did not become a hot site");
    if (load_stepped(stepped.memory, 64) != 64 * 42 || faults() != before + 64)
        bench_fail("the load is not stepped");
}

static const struct bench_variant variants[] = {
    {.name = "step_0", .what = "a load of a protected table, stepped", .measured = step_alone},
    {.name = "step_16", .what = "the same, beside 16 threads that wait", .measured = step_beside_others},
    {.name = "hot_inside", .what = "the same at a hot site with a policy", .measured = hot_inside},
    {.name = "hot_outside", .what = "at that site, of other memory", .measured = hot_outside},
    {.name = "software_inside",
     .what = "behind a test that is true, with that work in line",
     .measured = software_inside},
    {.name = "software_outside", .what = "behind a test that is false", .measured = software_outside},
    {.name = "plan_cached", .what = "segue_frame_plan", .measured = plan_cached},
    {.name = "plan_uncached", .what = "segue_peek, segue_decode and segue_plan", .measured = plan_uncached},
    {.name = "fork_private",
     .what = "fork and exit, 512 MiB with two views, 64 of them populated",
     .measured = fork_private},
    {.name = "fork_anonymous", .what = "the same with private memory", .measured = fork_anonymous},
};

static const struct bench_ratio ratios[] = {
    {"barrier_16_threads_over_0", "step_16", "step_0"},
    {"barrier_hot_over_stepped", "hot_inside", "step_0"},
    {"barrier_hot_inside_over_software", "hot_inside", "software_inside"},
    {"barrier_hot_outside_over_software", "hot_outside", "software_outside"},
    {"frame_plan_cached_over_uncached", "plan_cached", "plan_uncached"},
    {"fork_private_over_anonymous", "fork_private", "fork_anonymous"},
};

const struct bench_suite bench_suite = {
    .name = "barrier",
    .title = "A collector's barriers, plans and forks",
    .clock = CLOCK_MONOTONIC,
    .operations = 1,
    .rounds = 60,
    .quick_rounds = 8,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};
