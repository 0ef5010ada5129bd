/* guest.c: into a guest and out again by its call, with the segment bases set by instructions and by system calls,
 * without the guest's vector state and with it: in its initial state, as code without AVX-512 has it, and all of it in
 * use. Guest and host have different bases of both kinds. */
#include <segue/guest.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness/bench.h"

#define STACK_SIZE 4096
#define FEATURES 0xe7u
#define HEADER 512
#define HEADER_SIZE 64
#define SSE_AVX 0x06u
#define ALL_VECTORS 0xe6u

/* A guest, and what it is made with. */
struct kind {
    enum segue_guest_method method;
    uint64_t features;
    /* The components that are in use from the beginning on. */
    uint64_t in_use;
    struct segue_guest guest;
};

static char stack[STACK_SIZE];
static uint64_t thread_data[8];

/* The guest's code: calls in an endless loop the entry that is in its rax. */
void guest_calls(void);
__asm__(".text\n.type guest_calls, @function\nguest_calls:\n\tendbr64\n\tcall *%rax\n\tjmp guest_calls\n"
        ".size guest_calls, . - guest_calls\n");

static void run(const struct bench_variant *variant, unsigned operations)
{
    struct kind *kind = variant->context;
    for (unsigned i = 0; i < operations; i++)
        segue_guest_enter(&kind->guest);
    if (kind->guest.trap_num != SEGUE_GUEST_CALLED)
        bench_fail("the guest was left by trap %lu", (unsigned long)kind->guest.trap_num);
}

static struct kind instructions = {.method = SEGUE_GUEST_INSTRUCTIONS}, calls = {.method = SEGUE_GUEST_SYSTEM_CALLS},
                   instructions_vector = {.method = SEGUE_GUEST_INSTRUCTIONS, .features = FEATURES},
                   calls_vector = {.method = SEGUE_GUEST_SYSTEM_CALLS, .features = FEATURES},
                   instructions_avx = {.method = SEGUE_GUEST_INSTRUCTIONS, .features = FEATURES, .in_use = SSE_AVX},
                   calls_avx = {.method = SEGUE_GUEST_SYSTEM_CALLS, .features = FEATURES, .in_use = SSE_AVX},
                   instructions_wide = {.method = SEGUE_GUEST_INSTRUCTIONS,
                                        .features = FEATURES,
                                        .in_use = ALL_VECTORS},
                   calls_wide = {.method = SEGUE_GUEST_SYSTEM_CALLS, .features = FEATURES, .in_use = ALL_VECTORS},
                   instructions_all = {.method = SEGUE_GUEST_INSTRUCTIONS, .features = FEATURES, .in_use = FEATURES},
                   calls_all = {.method = SEGUE_GUEST_SYSTEM_CALLS, .features = FEATURES, .in_use = FEATURES};

/* Something in every register but the control registers. */
static void fill_area(const struct segue_xstate *xstate, uint64_t in_use)
{
    unsigned char *area = xstate->area;
    in_use &= xstate->features;
    memset(area + 32, 0x3f, HEADER - 32 - 48);
    memset(area + HEADER + HEADER_SIZE, 0x3f, xstate->size - HEADER - HEADER_SIZE);
    memcpy(area + HEADER, &in_use, sizeof in_use);
}

static bool make(struct kind *kind)
{
    struct segue_guest_options options = {.features = kind->features, .method = kind->method};
    if (segue_guest_new(&kind->guest, &options) != SEGUE_OK)
        return false;
    if (kind->in_use)
        fill_area(&kind->guest.xstate, kind->in_use);
    kind->guest.general = (struct segue_regs){
        .rax = kind->guest.entry,
        .rsp = (uint64_t)(uintptr_t)(stack + STACK_SIZE),
        .rip = (uint64_t)(uintptr_t)guest_calls,
        .rflags = 0x202,
        .fs_base = (uint64_t)(uintptr_t)thread_data,
        .gs_base = (uint64_t)(uintptr_t)(thread_data + 4),
    };
    return true;
}

static void setup(void)
{
    static char alternate[65536];
    stack_t signal_stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    if (sigaltstack(&signal_stack, NULL) != 0 || !make(&calls) || !make(&calls_vector) || !make(&calls_avx) ||
        !make(&calls_wide) || !make(&calls_all))
        bench_fail("no guest");
    if (make(&instructions) && make(&instructions_vector) && make(&instructions_avx) && make(&instructions_wide) &&
        make(&instructions_all))
        return;
    static const char *const names[] = {"instructions", "instructions_vector", "instructions_avx", "instructions_wide",
                                        "instructions_all"};
    for (size_t i = 0; i < COUNT(names); i++)
        bench_skip(names[i], "the kernel does not allow the FSGSBASE instructions");
}

#define VARIANT(variable, text)                                                                                        \
    {                                                                                                                  \
        .name = #variable, .what = text, .run = run, .context = &variable                                              \
    }
static const struct bench_variant variants[] = {
    VARIANT(instructions, "both bases by FSGSBASE instructions"),
    VARIANT(calls, "both bases by arch_prctl"),
    VARIANT(instructions_vector, "by instructions, vector state kept, none in use"),
    VARIANT(calls_vector, "by arch_prctl, vector state kept, none in use"),
    VARIANT(instructions_avx, "by instructions, SSE and AVX registers in use"),
    VARIANT(calls_avx, "by arch_prctl, SSE and AVX registers in use"),
    VARIANT(instructions_wide, "by instructions, all vector registers in use"),
    VARIANT(calls_wide, "by arch_prctl, all vector registers in use"),
    VARIANT(instructions_all, "by instructions, x87 and all vector registers in use"),
    VARIANT(calls_all, "by arch_prctl, x87 and all vector registers in use"),
};

static const struct bench_ratio ratios[] = {
    {"guest_fsgsbase_over_arch_prctl", "instructions", "calls"},
    {"guest_vector_fsgsbase_over_arch_prctl", "instructions_vector", "calls_vector"},
    {"guest_avx_fsgsbase_over_arch_prctl", "instructions_avx", "calls_avx"},
    {"guest_wide_fsgsbase_over_arch_prctl", "instructions_wide", "calls_wide"},
    {"guest_all_fsgsbase_over_arch_prctl", "instructions_all", "calls_all"},
    {"guest_vector_over_none", "instructions_vector", "instructions"},
};

const struct bench_suite bench_suite = {
    .name = "guest",
    .title = "Into a guest and out again",
    .clock = CLOCK_MONOTONIC,
    .operations = 1000,
    .warm_up = 100,
    .rounds = 2000,
    .quick_rounds = 300,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
};
