/* corpus.c: what `segue corpus check` costs over a million rows, against decoding them with Zydis and Capstone and
 * doing nothing with the answers.
 *
 * The harness pins the program to one processor, and objdump, which the check runs, is pinned with it: so a ratio is
 * one of work, not of how many processors there are. The rows are the distinct instructions of this system's libraries
 * and programs, as `segue corpus check` would take them from the same files, and from the shipped corpus where those
 * are fewer than a million. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness/bench.h"
#include "corpus/check/check.h"
#include "corpus/decoders/names.h"
#include "corpus/gather/gather.h"

#define ROWS 1000000

/* Debian's, as far as they are installed; the first million rows count. */
static const char *const sources[] = {
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0",
    "/usr/bin/python3.11",
    "/usr/bin/bash",
    "/usr/bin/gdb",
    "/usr/bin/busybox",
    "/usr/lib/x86_64-linux-gnu/libdav1d.so.6",
    "/usr/lib/x86_64-linux-gnu/libx264.so.164",
    "/usr/lib/x86_64-linux-gnu/libavcodec.so.59",
    "/usr/lib/x86_64-linux-gnu/libclang-cpp.so.14",
    "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
};

static struct corpus_rows rows;
static struct corpus_rules rules;
static struct corpus_capstone *capstone;
static ZydisDecoder zydis;
static uint64_t unknown;
/* How many rows objdump saw in the default check. */
static uint64_t refereed;

static void decode_only(const struct bench_variant *variant, unsigned operations)
{
    uint8_t slot[CORPUS_SLOT_BYTES];
    struct corpus_zydis decoded;
    (void)variant;
    for (unsigned i = 0; i < operations; i++) {
        for (size_t j = 0; j < rows.count; j++) {
            corpus_slot_fill(slot, &rows.rows[j]);
            ZydisDecoderDecodeFull(&zydis, slot, sizeof slot, &decoded.instruction, decoded.operands);
            corpus_capstone_decode(capstone, slot);
        }
    }
}

static void fail(const struct corpus_error *error)
{
    char text[512];
    corpus_error_text(error, text, sizeof text);
    bench_fail("%s", text);
}

/* `context` is the enum corpus_referee. */
static void check(const struct bench_variant *variant, unsigned operations)
{
    struct corpus_check check = {
        .rows = &rows,
        .rules = &rules,
        .referee = *(const enum corpus_referee *)variant->context,
        .share = 16,
        .with_segue = true,
        .with_source = true,
        .objdump = "objdump",
        .shards = 1,
        .jobs = 1,
    };
    for (unsigned i = 0; i < operations; i++) {
        struct corpus_counts counts;
        struct corpus_error error;
        corpus_counts_init(&counts, CORPUS_UNKNOWN_EXAMPLES);
        if (!corpus_check_run(&check, &counts, &error))
            fail(&error);
        unknown += counts.unknown_rows;
        if (check.referee == CORPUS_REFEREE_DISPUTED)
            refereed = counts.parties[CORPUS_OBJDUMP].asked;
        corpus_counts_free(&counts);
    }
}

static void read_rows(void)
{
    struct corpus_error error;
    for (size_t i = 0; i < COUNT(sources) && rows.count < ROWS; i++)
        if (access(sources[i], R_OK) == 0 && !corpus_rows_take(&rows, sources[i], &error))
            fail(&error);
    const char *const shipped[] = {SEGUE_CORPUS_SOURCE "/debian.hex.xz", SEGUE_CORPUS_SOURCE "/generated.hex.xz"};
    for (size_t i = 0; i < 2 && rows.count < ROWS; i++) {
        bench_note("shipped_rows_used", 1, "file");
        if (!corpus_rows_read(&rows, shipped[i], &error))
            fail(&error);
    }
    if (rows.count > ROWS)
        rows.count = ROWS;
    bench_note("rows", (double)rows.count, "rows");
}

static void setup(void)
{
    struct corpus_error error;
    if (!corpus_names_read(SEGUE_CORPUS_SOURCE "/aliases.txt", &error) ||
        !corpus_rules_read(&rules, SEGUE_CORPUS_SOURCE "/disagreements.txt", &error))
        fail(&error);
    corpus_capstone_prepare();
    capstone = corpus_capstone_open();
    if (!capstone)
        bench_fail("Capstone does not start");
    ZydisDecoderInit(&zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    read_rows();
}

static void teardown(void)
{
    bench_note("rows_that_objdump_saw_in_check", (double)refereed, "rows");
    bench_note("rows_outside_every_class", (double)unknown, "rows");
    if (unknown)
        bench_fail("%llu rows lie outside every known class", (unsigned long long)unknown);
    corpus_capstone_close(capstone);
    corpus_rules_free(&rules);
    corpus_rows_free(&rows);
}

static enum corpus_referee all = CORPUS_REFEREE_ALL, disputed = CORPUS_REFEREE_DISPUTED, none = CORPUS_REFEREE_NONE;

static const struct bench_variant variants[] = {
    {.name = "decoders", .what = "Zydis and Capstone decode a million rows, with operands", .run = decode_only},
    {.name = "check",
     .what = "check them, as by default: objdump sees what the others dispute and one in 16 of the rest",
     .run = check,
     .context = &disputed},
    {.name = "check_all", .what = "check them; objdump sees every row", .run = check, .context = &all},
    {.name = "check_none", .what = "check them without objdump", .run = check, .context = &none},
};

static const struct bench_ratio ratios[] = {
    {"corpus_check_over_decoders", "check", "decoders"},
    {"corpus_check_all_over_decoders", "check_all", "decoders"},
    {"corpus_check_none_over_decoders", "check_none", "decoders"},
};

const struct bench_suite bench_suite = {
    .name = "corpus",
    .title = "segue corpus check over a million rows",
    .clock = CLOCK_MONOTONIC,
    .operations = 1,
    .warm_up = 0,
    .rounds = 7,
    .quick_rounds = 1,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
    .teardown = teardown,
};
