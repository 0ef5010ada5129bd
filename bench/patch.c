/* patch.c: what rewriting costs: finding what there is to rewrite, beside decoding everything with Zydis; a site that
 * was rewritten, beside the same site native; and the first touch of a site, beside an empty handler.
 *
 * One operation is a batch of its own, so long that a clock's step does not matter. The files are libLLVM-14, but with
 * --quick or where it is not installed, and libc with libcrypto. Finding includes reading the unwind tables; reading
 * the files is done before. */
#include "bench/harness/bench.h"

#include <Zydis/Zydis.h>
#include <asm/prctl.h>
#include <errno.h>
#include <segue/handler.h>
#include <segue/patch.h>
#include <segue/segment.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "tools/patch/elf/elf.h"

#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"
#define FILES 2
#define PAGE 4096u
#define LOOPS 1000000u
#define TOUCHES 256u
/* A warm-up and a batch, and some more. */
#define SITES (4 * TOUCHES)
#define SLOT 16u

/* --- Finding. --- */

/* Files that are taken together. */
struct set {
    const char *names[FILES];
    struct {
        uint8_t *bytes;
        size_t size;
    } files[FILES];
    size_t sites, instructions;
};

static struct set large = {.names = {LIBRARIES "libLLVM-14.so.1"}},
                  small = {.names = {LIBRARIES "libc.so.6", LIBRARIES "libcrypto.so.3"}};
static size_t sites_found, instructions_decoded;

static void read_set(struct set *set)
{
    for (unsigned i = 0; i < FILES && set->names[i]; i++) {
        FILE *file = fopen(set->names[i], "rb");
        if (!file)
            bench_fail("cannot open %s: %s", set->names[i], strerror(errno));
        fseek(file, 0, SEEK_END);
        set->files[i].size = (size_t)ftell(file);
        set->files[i].bytes = malloc(set->files[i].size);
        rewind(file);
        if (!set->files[i].bytes || fread(set->files[i].bytes, 1, set->files[i].size, file) != set->files[i].size)
            bench_fail("cannot read %s", set->names[i]);
        fclose(file);
    }
}

static void free_set(struct set *set)
{
    for (unsigned i = 0; i < FILES; i++)
        free(set->files[i].bytes);
}

static enum segue_status count_site(void *unused, const struct segue_site *site)
{
    (void)unused;
    sites_found += segue_site_is_trusted(site) && site->old_byte != site->new_byte;
    return SEGUE_OK;
}

static enum segue_status scan_code(void *unused, const struct elf_code_section *section)
{
    (void)unused;
    return segue_segment_scan(&section->code, (struct segue_rewrite){SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}, count_site,
                              NULL);
}

static enum segue_status decode_code(void *unused, const struct elf_code_section *section)
{
    const struct segue_segment_code *code = &section->code;
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    (void)unused;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (size_t at = 0; at < code->size; instructions_decoded++) {
        ZyanStatus status =
            ZydisDecoderDecodeInstruction(&decoder, NULL, code->bytes + at, code->size - at, &instruction);
        at += ZYAN_SUCCESS(status) ? instruction.length : 1;
    }
    return SEGUE_OK;
}

static bool visit_code(void *visit, const struct elf_object *object, const char *refusal)
{
    if (refusal || elf_object_code(object, *(elf_code_visit *const *)visit, NULL) != SEGUE_OK)
        bench_fail("a file cannot be scanned: %s", refusal ? refusal : "damaged");
    return true;
}

static void visit_files(const struct set *set, elf_code_visit *visit)
{
    for (unsigned i = 0; i < FILES && set->names[i]; i++) {
        struct elf_source source = {.memory = set->files[i].bytes, .size = set->files[i].size};
        if (!elf_objects(&source, visit_code, &visit))
            bench_fail("%s is not an ELF file", set->names[i]);
    }
}

static void scan_run(const struct bench_variant *variant, unsigned operations)
{
    struct set *set = variant->context;
    for (unsigned i = 0; i < operations; i++) {
        sites_found = 0;
        visit_files(set, scan_code);
        set->sites = sites_found;
    }
}

static void decode_run(const struct bench_variant *variant, unsigned operations)
{
    struct set *set = variant->context;
    for (unsigned i = 0; i < operations; i++) {
        instructions_decoded = 0;
        visit_files(set, decode_code);
        set->instructions = instructions_decoded;
    }
}

/* --- A site that was rewritten. --- */

/* mov rax, fs:[10h]; then a loop on rdi. */
static const uint8_t loop_code[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, 0x48, 0xff, 0xcf, 0x75, 0xf2, 0xc3};
static char *native_loop, *rewritten_loop;

static uint64_t fs_base(void)
{
    uint64_t base;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
    return base;
}

static char *map_code(const void *bytes, size_t size, size_t room)
{
    char *code = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        bench_fail("mmap: %s", strerror(errno));
    memcpy(code, bytes, size);
    if (mprotect(code, room, PROT_READ | PROT_EXEC) != 0)
        bench_fail("mprotect: %s", strerror(errno));
    return code;
}

static void gs_set(const struct bench_variant *variant)
{
    (void)variant;
    syscall(SYS_arch_prctl, ARCH_SET_GS, fs_base());
}

static void gs_clear(const struct bench_variant *variant)
{
    (void)variant;
    syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
}

static void loop_run(const struct bench_variant *variant, unsigned operations)
{
    const char *code = *(char *const *)variant->context;
    for (unsigned i = 0; i < operations; i++)
        if (((uint64_t(*)(uint64_t))(uintptr_t)code)(LOOPS) != fs_base())
            bench_fail("%s does not read the thread pointer", variant->name);
}

/* --- First touches. --- */

/* mov rax, gs:[10h]; ret. GS's base is 0 here. */
static const uint8_t site_code[SLOT] = {0x65, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, 0xc3};
static char *fresh_sites, *floor_sites;
static size_t next_site;
static struct sigaction ours, floor_action;

static void skip_instruction(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += 9;
}

static void touch(const char *sites)
{
    ((void (*)(void))(uintptr_t)(sites + SLOT * next_site++))();
}

static void touch_prepare(const struct bench_variant *variant)
{
    bool is_floor = *(char *const *)variant->context == floor_sites;
    next_site = 0;
    if (segue_patches_undo(0, SIZE_MAX, NULL) != SEGUE_OK)
        bench_fail("a site cannot be taken back");
    sigaction(SIGSEGV, is_floor ? &floor_action : &ours, NULL);
}

static void touch_finish(const struct bench_variant *variant)
{
    (void)variant;
    sigaction(SIGSEGV, &ours, NULL);
}

static void touch_run(const struct bench_variant *variant, unsigned operations)
{
    const char *sites = *(char *const *)variant->context;
    for (unsigned i = 0; i < operations * TOUCHES; i++)
        touch(sites);
}

/* --- The suite. --- */

static const struct bench_variant variants[] = {
    {.name = "scan", .what = "find all sites of the files", .run = scan_run, .context = &large},
    {.name = "zydis_decode", .what = "decode all their code, without operands", .run = decode_run, .context = &large},
    {.name = "scan_small", .what = "find all sites of libc and libcrypto", .run = scan_run, .context = &small},
    {.name = "zydis_decode_small",
     .what = "decode all code of these, without operands",
     .run = decode_run,
     .context = &small},
    {.name = "native",
     .what = "1,000,000 loads through fs:",
     .prepare = gs_set,
     .finish = gs_clear,
     .run = loop_run,
     .context = &native_loop},
    {.name = "rewritten",
     .what = "1,000,000 loads, rewritten to gs:",
     .prepare = gs_set,
     .finish = gs_clear,
     .run = loop_run,
     .context = &rewritten_loop},
    {.name = "floor",
     .what = "256 faults: empty handler skips",
     .prepare = touch_prepare,
     .finish = touch_finish,
     .run = touch_run,
     .context = &floor_sites},
    {.name = "first_touch",
     .what = "256 fresh sites, rewritten at the fault",
     .prepare = touch_prepare,
     .finish = touch_finish,
     .run = touch_run,
     .context = &fresh_sites},
};

static const struct bench_ratio ratios[] = {
    {"scan_over_zydis_decode", "scan", "zydis_decode"},
    {"scan_small_over_zydis_decode", "scan_small", "zydis_decode_small"},
    {"rewritten_over_native", "rewritten", "native"},
    {"first_touch_over_floor", "first_touch", "floor"},
};

static void begin(enum segue_segment from, enum segue_segment to)
{
    struct segue_segment_options options = {.rewrite = {from, to}, .capacity = SITES};
    if (segue_segment_enable(&options) != SEGUE_OK)
        bench_fail("segue_segment_enable failed");
}

static void rewrite_loop(void)
{
    struct segue_rewrite_counts counts;
    begin(SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS);
    struct segue_segment_code code = {
        (uint8_t *)rewritten_loop, sizeof loop_code, (uint64_t)(uintptr_t)rewritten_loop, NULL, 0, {0}};
    if (segue_segment_rewrite(&code, NULL, &counts) != SEGUE_OK || counts.rewritten != 1 || rewritten_loop[0] != 0x65)
        bench_fail("the loop was not rewritten");
    segue_segment_disable();
}

static char *make_sites(void)
{
    static uint8_t bytes[SITES * SLOT];
    for (size_t i = 0; i < SITES; i++)
        memcpy(bytes + SLOT * i, site_code, SLOT);
    return map_code(bytes, sizeof bytes, sizeof bytes);
}

static void setup(void)
{
    if (bench_is_quick() || access(large.names[0], R_OK) != 0) {
        memcpy(large.names, small.names, sizeof large.names);
        bench_skip("scan_small", "scan takes the same files");
        bench_skip("zydis_decode_small", "zydis_decode takes the same files");
    } else {
        read_set(&small);
    }
    read_set(&large);
    native_loop = map_code(loop_code, sizeof loop_code, PAGE);
    rewritten_loop = map_code(loop_code, sizeof loop_code, PAGE);
    rewrite_loop();
    fresh_sites = make_sites();
    floor_sites = make_sites();
    if (segue_install(NULL) != SEGUE_OK)
        bench_fail("segue_install failed");
    begin(SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS);
    sigaction(SIGSEGV, NULL, &ours);
    floor_action = ours;
    floor_action.sa_sigaction = skip_instruction;
}

/* Each touch of the library's was one fault and one rewritten site. */
static void teardown(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    if (counters.faults == 0 || counters.retried != counters.faults || counters.faults % TOUCHES)
        bench_fail("of %llu faults %llu were answered by rewriting", (unsigned long long)counters.faults,
                   (unsigned long long)counters.retried);
    if (segue_patches_undo(0, SIZE_MAX, NULL) != SEGUE_OK || segue_segment_disable() != SEGUE_OK ||
        segue_uninstall(NULL) != SEGUE_OK)
        bench_fail("what was begun cannot be ended");
    bench_note("sites", (double)large.sites, "sites");
    bench_note("instructions", (double)large.instructions, "instructions");
    free_set(&large);
    free_set(&small);
}

const struct bench_suite bench_suite = {
    .name = "patch",
    .title = "rewriting accesses through a segment register",
    .clock = CLOCK_THREAD_CPUTIME_ID,
    .operations = 1,
    .warm_up = 1,
    .rounds = 15,
    .quick_rounds = 5,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
    .teardown = teardown,
};
