/* switch.c: a switch to another stack and back: ours, with and without the control words, beside boost.context's
 * jump_fcontext, the C library's swapcontext, and PCL, a coroutine library in Debian.
 *
 * Each variant's operation is one round trip: two switches. Boost keeps what our plain contexts keep: the registers
 * that a call keeps, MXCSR and the x87 control word. swapcontext keeps the signal mask too, with a system call; so do
 * our contexts with SEGUE_CONTEXT_OWN_MASK. In all but the two of _flags both flows begin with the same exception flags
 * in MXCSR, which some processors change slowly. */
#include <immintrin.h>
#include <pcl.h>
#include <segue/context.h>
#include <segue/emulate.h>
#include <signal.h>
#include <ucontext.h>

#include "bench/harness/bench.h"

#define STACK_SIZE 65536

/* ---- ours ---- */

struct pair {
    uint32_t flags;
    struct segue_context here, there;
    char stack[STACK_SIZE] __attribute__((aligned(64)));
};

static struct pair plain, flags, fixed = {.flags = SEGUE_CONTEXT_FIXED_CONTROL},
                                 masked = {.flags = SEGUE_CONTEXT_OWN_MASK};

/* One function each, as a program would have them: the processor learns each jump by its own address. */
#define PAIR(name)                                                                                                     \
    static void name##_child(void)                                                                                     \
    {                                                                                                                  \
        for (;;)                                                                                                       \
            segue_context_swap(&name.there, &name.here);                                                               \
    }                                                                                                                  \
    static void name##_run(const struct bench_variant *variant, unsigned operations)                                   \
    {                                                                                                                  \
        (void)variant;                                                                                                 \
        for (unsigned i = 0; i < operations; i++)                                                                      \
            segue_context_swap(&name.here, &name.there);                                                               \
    }

PAIR(plain)
PAIR(flags)
PAIR(fixed)
PAIR(masked)

static void pair_begin(struct pair *pair, void (*child)(void))
{
    struct segue_context_options options = {.flags = pair->flags};
    pair->here.flags = pair->flags;
    if (segue_context_init(&pair->there, &pair->here, pair->stack, STACK_SIZE, child, NULL, 0, &options) != SEGUE_OK)
        bench_fail("a context could not be prepared");
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b;
}

/* A context from its preparation to its end. */
static void whole_run(const struct bench_variant *variant, unsigned operations)
{
    static struct pair whole;
    struct segue_argument arguments[] = {segue_argument_u64(1), segue_argument_u64(2)};
    (void)variant;
    for (unsigned i = 0; i < operations; i++) {
        if (segue_context_init(&whole.there, &whole.here, whole.stack, STACK_SIZE, (void (*)(void))add, arguments, 2,
                               NULL) != SEGUE_OK)
            abort();
        segue_context_swap(&whole.here, &whole.there);
    }
}

/* ---- boost.context: its C core, which <boost/context/detail/fcontext.hpp> declares for C++ ---- */

struct transfer {
    void *context, *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack_end, size_t size, void (*entry)(struct transfer));

static char boost_stack[STACK_SIZE] __attribute__((aligned(64))),
    boost_flags_stack[STACK_SIZE] __attribute__((aligned(64)));
static struct transfer boost_there, boost_flags_there;

static void boost_child(struct transfer from)
{
    for (;;)
        from = jump_fcontext(from.context, NULL);
}

static void boost_run(const struct bench_variant *variant, unsigned operations)
{
    struct transfer *kept = variant->context, there = *kept;
    for (unsigned i = 0; i < operations; i++)
        there = jump_fcontext(there.context, NULL);
    *kept = there;
}

/* ---- swapcontext ---- */

static char ucontext_stack[STACK_SIZE] __attribute__((aligned(64)));
static ucontext_t ucontext_here, ucontext_there;

static void ucontext_child(void)
{
    for (;;)
        swapcontext(&ucontext_there, &ucontext_here);
}

static void ucontext_run(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    for (unsigned i = 0; i < operations; i++)
        swapcontext(&ucontext_here, &ucontext_there);
}

/* ---- PCL ---- */

static coroutine_t pcl_there;

static void pcl_child(void *unused)
{
    (void)unused;
    for (;;)
        co_resume();
}

static void pcl_run(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    for (unsigned i = 0; i < operations; i++)
        co_call(pcl_there);
}

/* ---- the program ---- */

#define EXCEPTION_FLAGS 0x3fu
#define INEXACT 0x20u

static void set_exception_flags(unsigned wanted)
{
    _mm_setcsr((_mm_getcsr() & ~EXCEPTION_FLAGS) | wanted);
}

/* A division between two batches has made the flag of this flow. */
static void setup(void)
{
    set_exception_flags(0);
    pair_begin(&flags, flags_child);
    boost_flags_there.context = make_fcontext(boost_flags_stack + STACK_SIZE, STACK_SIZE, boost_child);
    set_exception_flags(INEXACT);
    pair_begin(&plain, plain_child);
    pair_begin(&fixed, fixed_child);
    pair_begin(&masked, masked_child);
    boost_there.context = make_fcontext(boost_stack + STACK_SIZE, STACK_SIZE, boost_child);
    getcontext(&ucontext_there);
    ucontext_there.uc_stack = (stack_t){.ss_sp = ucontext_stack, .ss_size = STACK_SIZE};
    makecontext(&ucontext_there, ucontext_child, 0);
    co_thread_init();
    pcl_there = co_create((void *)pcl_child, NULL, NULL, STACK_SIZE);
    if (!pcl_there)
        bench_skip("pcl", "co_create failed");
}

static const struct bench_variant variants[] = {
    {.name = "swap", .what = "segue: registers, MXCSR, x87 control word", .run = plain_run},
    {.name = "swap_fixed", .what = "segue, contexts that never change the control words", .run = fixed_run},
    {.name = "swap_mask", .what = "segue, with signal masks", .run = masked_run},
    {.name = "whole", .what = "segue: prepare, call, return", .run = whole_run},
    {.name = "swap_flags", .what = "segue, the flows having other exception flags", .run = flags_run},
    {.name = "boost", .what = "boost.context, jump_fcontext", .run = boost_run, .context = &boost_there},
    {.name = "boost_flags",
     .what = "boost.context, the flows having other exception flags",
     .run = boost_run,
     .context = &boost_flags_there},
    {.name = "swapcontext", .what = "the C library's swapcontext", .run = ucontext_run},
    {.name = "pcl", .what = "PCL, co_call and co_resume", .run = pcl_run},
};

static const struct bench_ratio ratios[] = {
    {"swap_over_boost", "swap", "boost"},
    {"swap_nofp_over_boost", "swap_fixed", "boost"},
    {"swap_speedup_over_swapcontext", "swapcontext", "swap"},
    {"swap_over_pcl", "swap", "pcl"},
    {"swap_flags_over_boost_flags", "swap_flags", "boost_flags"},
    {"swap_mask_over_swapcontext", "swap_mask", "swapcontext"},
};

const struct bench_suite bench_suite = {
    .name = "switch",
    .title = "A switch to another stack and back",
    .clock = CLOCK_MONOTONIC,
    .operations = 1000,
    .warm_up = 100,
    .rounds = 3000,
    .quick_rounds = 500,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};
