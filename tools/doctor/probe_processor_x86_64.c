/* probe_processor_x86_64.c: what the processor has, and what of it the kernel has switched on.
 *
 * SOURCES: Intel SDM volume 2, CPUID leaves 1, 7, 0DH, 80000002H; volume 1, 13.1 (state components); Linux
 * Documentation/arch/x86/elf_auxvec.rst (AT_HWCAP2 bit 1: FSGSBASE; AT_MINSIGSTKSZ). */
#if !defined(__x86_64__)
#error "probe_processor_x86_64.c is specific to x86-64"
#endif

#include <asm/hwcap2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>

#include "decode/x86/xsave.h"
#include "probe.h"
#include "processor.h"

/* What <signal.h> said for decades. */
#define OLD_MINSIGSTKSZ 2048

/* The state that a vector extension needs. */
#define NEEDED_AVX (COMPONENT_SSE | COMPONENT_AVX)
#define NEEDED_AVX512 (NEEDED_AVX | COMPONENTS_AVX512)
#define NEEDED_AMX (COMPONENT_TILE_CONFIG | COMPONENT_TILE_DATA)

static void look_at_processor(struct finding *finding)
{
    uint32_t brand[13] = {0};
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < 4; j++)
            brand[4 * i + j] = processor_leaf(0x80000002u + i, 0, (enum processor_register)j);
    const char *name = (const char *)brand;
    name += strspn(name, " ");
    finding->answer = ANSWER_FACT;
    finding_detail(finding, "%s", *name ? name : "without a name");
}

static void look_at_fsgsbase(struct finding *finding)
{
    bool processor = processor_leaf(7, 0, EBX) & 1;
    bool kernel = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
    finding->answer = kernel ? ANSWER_YES : ANSWER_NO;
    finding_detail(finding, "processor %s, kernel %s", processor ? "yes" : "no", kernel ? "yes" : "no");
}

static void look_at_xsave(struct finding *finding)
{
    uint64_t components = xsave_enabled();
    uint32_t extensions = xsave_extensions();
    if (!components) {
        finding_detail(finding, "the kernel has not switched XSAVE on");
        return;
    }
    finding->answer = ANSWER_YES;
    finding->value = xsave_area_size();
    finding_detail(finding, "area of %u bytes (%u with all the processor has), XCR0 0x%llx%s%s%s%s", xsave_area_size(),
                   xsave_area_size_of_processor(), (unsigned long long)components,
                   extensions & XSAVE_HAS_XSAVEOPT ? ", xsaveopt" : "", extensions & XSAVE_HAS_XSAVEC ? ", xsavec" : "",
                   extensions & XSAVE_HAS_XGETBV_1 ? ", xgetbv1" : "", extensions & XSAVE_HAS_XSAVES ? ", xsaves" : "");
}

/* One vector extension: the processor's bit, and the state components that the kernel must have switched on. */
static void look_at_vectors(struct finding *finding, bool has_instructions, uint64_t components)
{
    bool has_state = (xsave_enabled() & components) == components;
    finding->answer = has_instructions && has_state ? ANSWER_YES : ANSWER_NO;
    finding_detail(finding, "instructions %s, state %s", has_instructions ? "yes" : "no", has_state ? "yes" : "no");
}

static void look_at_avx(struct finding *finding)
{
    look_at_vectors(finding, processor_leaf(1, 0, ECX) & 1u << 28, NEEDED_AVX);
}

static void look_at_avx2(struct finding *finding)
{
    look_at_vectors(finding, processor_leaf(7, 0, EBX) & 1u << 5, NEEDED_AVX);
}

static void look_at_avx512(struct finding *finding)
{
    look_at_vectors(finding, processor_leaf(7, 0, EBX) & 1u << 16, NEEDED_AVX512);
}

static void look_at_amx(struct finding *finding)
{
    look_at_vectors(finding, processor_leaf(7, 0, EDX) & 1u << 24, NEEDED_AMX);
}

static void look_at_frame_size(struct finding *finding)
{
    unsigned long size = getauxval(AT_MINSIGSTKSZ);
    if (!size) {
        finding_detail(finding, "the kernel does not say; %d is assumed", OLD_MINSIGSTKSZ);
        return;
    }
    finding->answer = ANSWER_YES;
    finding->value = (int64_t)size;
    finding_detail(finding, "%lu bytes for a signal frame; the old MINSIGSTKSZ of %d %s", size, OLD_MINSIGSTKSZ,
                   size > OLD_MINSIGSTKSZ ? "is too small here" : "still suffices");
}

static const struct probe list[] = {
    {"processor", look_at_processor, "undefined flags and the like are what this processor makes them", NULL},
    {"fsgsbase", look_at_fsgsbase,
     "the handler and guest contexts read and set FS and GS bases without a system call; `segue run` needs it",
     "FS and GS bases are read and set by arch_prctl, a system call each; no `segue run`"},
    {"xsave", look_at_xsave, "the signal frame holds the vector registers, and vector instructions can be stepped",
     "the signal frame holds x87 and SSE state only"},
    {"avx", look_at_avx, "AVX instructions are served with the frame's state",
     "AVX instructions do not run here at all"},
    {"avx2", look_at_avx2, "AVX2 instructions, gathers too, are served with the frame's state",
     "AVX2 instructions do not run here at all"},
    {"avx512", look_at_avx512, "AVX-512 instructions and masks are served with the frame's state",
     "AVX-512 instructions do not run here at all"},
    {"amx", look_at_amx, "tile state is kept; a thread that asks for it has larger signal frames",
     "AMX instructions do not run here at all"},
    {"at_minsigstksz", look_at_frame_size, "alternate stacks are sized by it",
     "alternate stacks are sized by the old constant and Segue's own need"},
};

const struct probes processor_probes = {list, sizeof list / sizeof *list};
