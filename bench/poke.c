/* poke.c: what changing code costs, one site after the other and in batches: nanoseconds a site.
 *
 * The sites are 256 instructions of 3 to 5 bytes, with two other instructions between each two, as those are that
 * access memory in compiled code; or one in each of 256 pages. All are flipped between two versions. */
#include "bench/harness/bench.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "patch/poke/poke.h"

#define SITES 256u
#define PAGE 4096u
/* The distance of two sites, in code and where each has its own page. */
#define NEAR 12u
#define CODE_SIZE (SITES * PAGE)

struct kind {
    unsigned batch, ways, distance;
};

static char *code;
static unsigned version;

static struct kind one = {1, POKE_KERNEL, NEAR}, few = {16, POKE_KERNEL | POKE_SPANS, NEAR},
                   many = {256, POKE_KERNEL | POKE_SPANS, NEAR}, few_exact = {16, POKE_KERNEL, NEAR},
                   many_exact = {256, POKE_KERNEL, NEAR}, many_scattered = {256, POKE_KERNEL, PAGE},
                   one_opened = {1, POKE_PROTECT, NEAR}, many_opened = {256, POKE_PROTECT, NEAR};

static void set_change(struct poke_change *change, const struct kind *kind, unsigned site)
{
    static const uint8_t bytes[2][5] = {{0xb8, 1, 2, 3, 4}, {0xba, 5, 6, 7, 8}};
    change->address = (uint64_t)(uintptr_t)code + 6 + site * kind->distance;
    change->target = 0;
    change->size = (uint8_t)(3 + site % 3);
    memcpy(change->bytes, bytes[version], sizeof bytes[version]);
}

static void change_all(const struct kind *kind)
{
    struct poke_change changes[SITES];
    for (unsigned first = 0; first < SITES; first += kind->batch) {
        for (unsigned i = 0; i < kind->batch; i++)
            set_change(&changes[i], kind, SITES - 1 - first - i);
        enum segue_status status = kind->batch == 1
                                       ? poke(changes[0].address, changes[0].bytes, changes[0].size, kind->ways)
                                       : poke_batch(changes, kind->batch, kind->ways);
        if (status != SEGUE_OK)
            bench_fail("a site could not be changed: status %d", status);
    }
}

static void run(const struct bench_variant *variant, unsigned operations)
{
    for (unsigned i = 0; i < operations; i += SITES) {
        version ^= 1;
        change_all(variant->context);
    }
}

static const struct bench_variant variants[] = {
    {.name = "poke", .what = "a site, alone", .run = run, .context = &one},
    {.name = "batch_16", .what = "a site, in batches of 16", .run = run, .context = &few},
    {.name = "batch_256", .what = "a site, in a batch of 256", .run = run, .context = &many},
    {.name = "exact_16", .what = "in batches of 16, no byte between written", .run = run, .context = &few_exact},
    {.name = "exact_256", .what = "in a batch of 256, no byte between written", .run = run, .context = &many_exact},
    {.name = "scattered_256", .what = "in a batch of 256, each in its page", .run = run, .context = &many_scattered},
    {.name = "poke_opened", .what = "a site, alone, by opening its page", .run = run, .context = &one_opened},
    {.name = "opened_256", .what = "in a batch of 256, by opening pages", .run = run, .context = &many_opened},
};

static const struct bench_ratio ratios[] = {
    {"poke_batch_16_over_poke", "batch_16", "poke"},
    {"poke_batch_256_over_poke", "batch_256", "poke"},
    {"poke_exact_16_over_poke", "exact_16", "poke"},
    {"poke_exact_256_over_poke", "exact_256", "poke"},
    {"poke_scattered_256_over_poke", "scattered_256", "poke"},
    {"poke_opened_256_over_poke_opened", "opened_256", "poke_opened"},
};

static bool works(const struct kind *kind)
{
    struct poke_change change;
    set_change(&change, kind, 0);
    return poke(change.address, change.bytes, change.size, kind->ways) == SEGUE_OK;
}

/* The second thread: a process of one thread changes its code without the protocol. */
static void *sleep_on(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void setup(void)
{
    pthread_t other;
    if (pthread_create(&other, NULL, sleep_on, NULL) != 0)
        bench_fail("pthread_create");
    code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        bench_fail("mmap: %s", strerror(errno));
    memset(code, 0x90, CODE_SIZE);
    if (mprotect(code, CODE_SIZE, PROT_READ | PROT_EXEC) != 0 || poke_prepare() != SEGUE_OK)
        bench_fail("code cannot be prepared");
    static const char *const names[] = {"poke", "batch_16", "batch_256", "exact_16", "exact_256", "scattered_256"};
    if (works(&one))
        return;
    for (size_t i = 0; i < COUNT(names); i++)
        bench_skip(names[i], "the kernel does not write past a page's protection, or cannot serialise threads");
    if (!works(&one_opened)) {
        bench_skip("poke_opened", "threads cannot be serialised");
        bench_skip("opened_256", "threads cannot be serialised");
    }
}

const struct bench_suite bench_suite = {
    .name = "poke",
    .title = "changing code that other threads may execute, a site",
    .clock = CLOCK_THREAD_CPUTIME_ID,
    .operations = SITES,
    .warm_up = SITES,
    .rounds = 60,
    .quick_rounds = 10,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};
