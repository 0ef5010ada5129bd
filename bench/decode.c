/* decode.c: what decoding and listing accesses cost beside Zydis alone, over real code: the instructions of this
 * process's own libc that access memory, and all of them.
 *
 * The base is ZydisDecoderDecodeFull of the same instructions, without a cache. The registers are such that no access
 * is refused for wrapping around. */
#include <Zydis/Zydis.h>
#include <elf.h>
#include <link.h>
#include <segue/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness/bench.h"

/* As many as fit in the cache, so that each is found there; taken evenly from all of the code. */
#define SAMPLE 800
/* Instructions of the sweep that an uncached batch goes through. */
#define SWEEP 20000
#define INSTRUCTIONS_MOST 600000

struct instruction {
    uint64_t address;
    const uint8_t *bytes;
    size_t size;
};

/* The instructions that a variant goes over. */
struct set {
    struct instruction *list;
    size_t count;
};

static struct set memory_sample, all_sample, memory_sweep, all_sweep;
static struct segue_cache cache;
static struct segue_regs regs;
static ZydisDecoder decoder;
static volatile uint64_t sink;

/* ---- the code -----------------------------------------------------------------------------------------------------
 */

static struct {
    const uint8_t *start;
    size_t size;
} text;

static int find_text(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    if (!strstr(info->dlpi_name, "libc.so"))
        return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            text.start = (const uint8_t *)(uintptr_t)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            text.size = info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

/* All instructions from the beginning on; bytes that are not an instruction are skipped. */
static struct set sweep(bool memory_only)
{
    struct set set = {.list = malloc(INSTRUCTIONS_MOST * sizeof *set.list)};
    struct segue_insn insn;
    if (!set.list)
        bench_fail("there is no memory");
    for (size_t at = 0; at < text.size && set.count < INSTRUCTIONS_MOST;) {
        size_t left = text.size - at;
        if (segue_decode(SEGUE_MODE_64, text.start + at, left, &insn) != SEGUE_OK) {
            at++;
            continue;
        }
        if (insn.memory_count || !memory_only)
            set.list[set.count++] = (struct instruction){(uint64_t)(uintptr_t)(text.start + at), text.start + at,
                                                         left < SEGUE_INSN_BYTES ? left : SEGUE_INSN_BYTES};
        at += insn.length;
    }
    return set;
}

/* `count` of them, evenly spread, no two in one place of the cache: so that it holds them all. */
static struct set take(const struct set *from, size_t count)
{
    static bool taken[SEGUE_CACHE_ENTRIES];
    struct set set = {.list = malloc(count * sizeof *set.list)};
    if (!set.list || from->count < count)
        bench_fail("libc has only %zu instructions of a kind", from->count);
    memset(taken, 0, sizeof taken);
    for (size_t i = 0; i < from->count && set.count < count; i++) {
        const struct instruction *candidate = &from->list[i * 7919 % from->count];
        size_t place = (candidate->address ^ (candidate->address >> 12)) % SEGUE_CACHE_ENTRIES;
        if (count > SEGUE_CACHE_ENTRIES || !taken[place])
            set.list[set.count++] = *candidate;
        taken[place] = true;
    }
    return set;
}

static void setup(void)
{
    dl_iterate_phdr(find_text, NULL);
    if (!text.size)
        bench_fail("libc's code was not found");
    for (unsigned i = 0; i < SEGUE_REGISTER_COUNT; i++)
        *segue_register_at(&regs, i) = UINT64_C(0x100000000);
    regs.rflags = 0x202;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
        bench_fail("Zydis cannot decode");
    struct set memory = sweep(true), all = sweep(false);
    memory_sample = take(&memory, SAMPLE);
    all_sample = take(&all, SAMPLE);
    memory_sweep = take(&memory, SWEEP);
    all_sweep = take(&all, SWEEP);
    bench_note("memory_instructions", (double)memory.count, "");
    bench_note("all_instructions", (double)all.count, "");
    free(memory.list);
    free(all.list);
}

static void teardown(void)
{
    free(memory_sample.list);
    free(all_sample.list);
    free(memory_sweep.list);
    free(all_sweep.list);
}

/* ---- the variants -------------------------------------------------------------------------------------------------
 */

static void run_zydis(const struct bench_variant *variant, unsigned operations)
{
    const struct set *set = variant->context;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint64_t sum = 0;
    for (unsigned i = 0; i < operations; i++) {
        const struct instruction *at = &set->list[i % set->count];
        ZydisDecoderDecodeFull(&decoder, at->bytes, at->size, &instruction, operands);
        sum += instruction.length;
    }
    sink = sum;
}

static uint64_t accesses_of(const struct segue_insn *insn)
{
    struct segue_access accesses[4];
    size_t count;
    return segue_accesses(insn, &regs, NULL, accesses, 4, &count) == SEGUE_OK && count ? accesses[0].address : 0;
}

static void run_uncached(const struct bench_variant *variant, unsigned operations)
{
    const struct set *set = variant->context;
    struct segue_insn insn;
    uint64_t sum = 0;
    for (unsigned i = 0; i < operations; i++) {
        const struct instruction *at = &set->list[i % set->count];
        if (segue_decode(SEGUE_MODE_64, at->bytes, at->size, &insn) == SEGUE_OK)
            sum += accesses_of(&insn);
    }
    sink = sum;
}

static void run_cached(const struct bench_variant *variant, unsigned operations)
{
    const struct set *set = variant->context;
    struct segue_insn insn;
    uint64_t sum = 0;
    for (unsigned i = 0; i < operations; i++) {
        const struct instruction *at = &set->list[i % set->count];
        if (segue_decode_cached(&cache, SEGUE_MODE_64, at->address, at->bytes, at->size, &insn) == SEGUE_OK)
            sum += accesses_of(&insn);
    }
    sink = sum;
}

/* The cache holds what the variant is about to ask for. */
static void fill_cache(const struct bench_variant *variant)
{
    run_cached(variant, SAMPLE);
}

#define KIND(kind, words)                                                                                              \
    {.name = "zydis_" #kind, .what = "Zydis' full decode of " words, .run = run_zydis, .context = &kind##_sweep},      \
        {.name = "uncached_" #kind, .what = "decode and list " words, .run = run_uncached, .context = &kind##_sweep},  \
        {.name = "zydis_sample_" #kind,                                                                                \
         .what = "Zydis' full decode of 800 of them",                                                                  \
         .run = run_zydis,                                                                                             \
         .context = &kind##_sample},                                                                                   \
    {                                                                                                                  \
        .name = "cached_" #kind, .what = "decode through the cache, and list, 800 of them", .prepare = fill_cache,     \
        .run = run_cached, .context = &kind##_sample                                                                   \
    }

static const struct bench_variant variants[] = {
    KIND(memory, "libc's instructions that access memory"),
    KIND(all, "all of libc's instructions"),
};

/* Without a suffix: those that access memory, which are those that a fault comes from. */
static const struct bench_ratio ratios[] = {
    {"decode_cached_over_zydis", "cached_memory", "zydis_sample_memory"},
    {"decode_uncached_over_zydis", "uncached_memory", "zydis_memory"},
    {"decode_cached_over_zydis_all", "cached_all", "zydis_sample_all"},
    {"decode_uncached_over_zydis_all", "uncached_all", "zydis_all"},
};

const struct bench_suite bench_suite = {
    .name = "decode",
    .title = "Decoding libc's code and listing its accesses, beside Zydis",
    .clock = CLOCK_THREAD_CPUTIME_ID,
    .operations = 8000,
    .warm_up = 800,
    .rounds = 300,
    .quick_rounds = 40,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
    .teardown = teardown,
};
