/* guest.c: into a guest and out again by its call, with the segment bases set by instructions and by system calls, with
 * and without the guest's vector state. Guest and host have different bases of both kinds. */
#include <segue/ctx.h>
#include <signal.h>
#include <stdlib.h>

#include "bench.h"

#define STACK_SIZE 4096
#define FEATURES 0xe7u

/* A guest, and what it is made with. */
struct kind {
    enum segue_guest_method method;
    uint64_t features;
    struct segue_guest guest;
};

static char stack[STACK_SIZE];
static uint64_t thread_data[8];

/* The guest's code: calls, for ever, by the entry that is in its rax. */
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
                   calls_vector = {.method = SEGUE_GUEST_SYSTEM_CALLS, .features = FEATURES};

static bool make(struct kind *kind)
{
    if (segue_guest_choose(kind->method) != SEGUE_OK || segue_guest_new(&kind->guest, kind->features) != SEGUE_OK)
        return false;
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
    if (sigaltstack(&signal_stack, NULL) != 0 || !make(&calls) || !make(&calls_vector))
        bench_fail("no guest");
    if (!make(&instructions) || !make(&instructions_vector)) {
        bench_skip("instructions", "the kernel does not allow the FSGSBASE instructions");
        bench_skip("instructions_vector", "the kernel does not allow the FSGSBASE instructions");
    }
}

int main(int count, char **arguments)
{
#define VARIANT(variable, text)                                                                                        \
    {                                                                                                                  \
        .name = #variable, .what = text, .run = run, .context = &variable                                              \
    }
    static const struct bench_variant variants[] = {
        VARIANT(instructions, "both bases by FSGSBASE instructions"),
        VARIANT(calls, "both bases by arch_prctl"),
        VARIANT(instructions_vector, "by instructions, vector state loaded and stored"),
        VARIANT(calls_vector, "by arch_prctl, vector state loaded and stored"),
    };
    static const struct bench_ratio ratios[] = {
        {"guest_fsgsbase_over_arch_prctl", "instructions", "calls"},
        {"guest_vector_fsgsbase_over_arch_prctl", "instructions_vector", "calls_vector"},
        {"guest_vector_over_none", "instructions_vector", "instructions"},
    };
    static const struct bench_suite suite = {
        .name = "guest",
        .title = "Into a guest and out again",
        .clock = CLOCK_MONOTONIC,
        .operations = 1000,
        .warm_up = 100,
        .rounds = 2000,
        .quick_rounds = 300,
        .variants = variants,
        .variant_count = sizeof variants / sizeof *variants,
        .ratios = ratios,
        .ratio_count = sizeof ratios / sizeof *ratios,
        .setup = setup,
    };
    return bench_main(count, arguments, &suite);
}
