/* restore.c: a whole fault, with a handler that does nothing but skip the instruction, by each way out of the handler.
 * The floor is what every program can do: edit the frame and return. */
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "bench/harness/bench.h"
#include "bench/harness/touch.h"

#define PAGE 4096
#define RESUME_FLAG 0x10000

/* A handler, and how it is installed. */
struct way {
    void (*handler)(int number, siginfo_t *info, void *ucontext);
    int flags;
};

static void *closed;

static void skip(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += TOUCH_LENGTH;
}

/* As a step does: an instruction that has been done clears the resume flag, which a fault sets. The ways out are
 * measured, not the description of the fault, which a frame without a siginfo does without. */
static void skip_and_leave(void *ucontext, enum segue_restore_method method)
{
    struct segue_frame frame;
    if (segue_frame_open(&frame, NULL, ucontext) == SEGUE_HANDLED)
        return;
    frame.regs.rip += TOUCH_LENGTH;
    frame.regs.rflags &= ~(uint64_t)RESUME_FLAG;
    segue_frame_restore(&frame, method);
}

static void skip_directly(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    skip_and_leave(ucontext, SEGUE_RESTORE_DIRECT);
}

static void skip_directly_with_mask(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    skip_and_leave(ucontext, SEGUE_RESTORE_DIRECT_MASK);
}

static void skip_by_return(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    skip_and_leave(ucontext, SEGUE_RESTORE_RETURN);
}

static void prepare(const struct bench_variant *variant)
{
    const struct way *way = variant->context;
    struct sigaction action = {.sa_sigaction = way->handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | way->flags};
    if (sigaction(SIGSEGV, &action, NULL) != 0)
        bench_fail("sigaction");
}

static void run(const struct bench_variant *variant, unsigned operations)
{
    (void)variant;
    for (unsigned i = 0; i < operations; i++)
        touch_load(closed, 0);
}

static void setup(void)
{
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (closed == MAP_FAILED || sigaltstack(&stack, NULL) != 0)
        bench_fail("no page or no stack");
    if (segue_restore_choose(&action) == SEGUE_RESTORE_RETURN) {
        bench_skip("direct", segue_reason());
        bench_skip("direct_mask", segue_reason());
    }
}

static struct way way_floor = {skip, 0}, way_nodefer = {skip, SA_NODEFER}, way_by_return = {skip_by_return, SA_NODEFER},
                  way_direct = {skip_directly, SA_NODEFER}, way_direct_mask = {skip_directly_with_mask, 0};

#define VARIANT(variable, text)                                                                                        \
    {                                                                                                                  \
        .name = #variable, .what = text, .prepare = prepare, .run = run, .context = &way_##variable                    \
    }
static const struct bench_variant variants[] = {
    VARIANT(floor, "the handler edits the frame and returns"),
    VARIANT(nodefer, "the same with SA_NODEFER"),
    VARIANT(by_return, "segue_frame_restore, by return"),
    VARIANT(direct, "segue_frame_restore, directly"),
    VARIANT(direct_mask, "segue_frame_restore, directly, with the mask put back"),
};

static const struct bench_ratio ratios[] = {
    {"restore_over_floor", "direct", "floor"},
    {"restore_mask_over_floor", "direct_mask", "floor"},
    {"restore_return_over_floor", "by_return", "floor"},
    {"restore_over_nodefer", "direct", "nodefer"},
};

const struct bench_suite bench_suite = {
    .name = "restore",
    .title = "One fault, by each way out of its handler",
    .clock = CLOCK_MONOTONIC,
    .operations = 100,
    .warm_up = 10,
    .rounds = 2000,
    .quick_rounds = 400,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};
