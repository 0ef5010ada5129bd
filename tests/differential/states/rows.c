/* rows.c: rows of corpus files as cases (see rows.h). */
#include "rows.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "corpus/rows/rows.h"
#include "tests/support/sweep/coverage.h"

#define REASONS 32
#define REASON_SIZE 96
#define MAGIC "segue rows 2"

struct row {
    uint8_t length;
    uint8_t bytes[SEGUE_INSN_BYTES];
};

static struct row *rows;
static size_t count, capacity;
static uint64_t wanted;

/* Rows that were read and are no cases. */
static struct {
    uint64_t all, undefined, no_memory;
    uint64_t cannot_run[SEGUE_CLASS_COUNT];
} left_out;

/* What the workers share: this, then the states of each row, then its fate, then the reason's number. */
static struct shared {
    struct {
        char why[REASON_SIZE];
        uint64_t example;
    } reasons[REASONS];
    uint16_t states[];
} * shared;
static uint8_t *fates, *reason_numbers;

static size_t shared_size(void)
{
    return sizeof *shared + count * (sizeof *shared->states + 2);
}

static bool add(const struct corpus_row *from)
{
    struct segue_insn insn;
    left_out.all++;
    if (segue_decode(SEGUE_MODE_64, from->bytes, from->length, &insn) != SEGUE_OK) {
        left_out.undefined++;
        return true;
    }
    if (insn.memory_count == 0) {
        left_out.no_memory++;
        return true;
    }
    if (!encodings_can_run(&insn)) {
        left_out.cannot_run[insn.class_]++;
        return true;
    }
    if (count == capacity) {
        capacity = capacity ? 2 * capacity : 65536;
        struct row *more = realloc(rows, capacity * sizeof *rows);
        if (!more)
            return false;
        rows = more;
    }
    rows[count] = (struct row){.length = insn.length};
    memcpy(rows[count++].bytes, from->bytes, insn.length);
    return true;
}

bool rows_read(const char *path)
{
    struct corpus_rows read = {0};
    struct corpus_error error;
    bool ok = corpus_rows_read(&read, path, &error);
    if (!ok) {
        char text[512];
        corpus_error_text(&error, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    for (size_t i = 0; ok && i < read.count; i++)
        ok = add(&read.rows[i]);
    corpus_rows_free(&read);
    return ok;
}

void rows_take_shard(uint64_t shard, uint64_t shards)
{
    size_t kept = 0;
    for (uint64_t i = shard; i < count; i += shards)
        rows[kept++] = rows[i];
    count = kept;
}

bool rows_begin(uint64_t states)
{
    wanted = states;
    shared = mmap(NULL, shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    fates = (uint8_t *)(shared->states + count);
    reason_numbers = fates + count;
    return true;
}

size_t rows_count(void)
{
    return count;
}

uint64_t rows_batches(void)
{
    return (count + BATCH_CASES - 1) / BATCH_CASES;
}

size_t rows_of_case(uint64_t number)
{
    return number % (rows_batches() * BATCH_CASES);
}

const uint8_t *rows_bytes(size_t row, uint8_t *length)
{
    *length = rows[row].length;
    return rows[row].bytes;
}

bool rows_is_done(size_t row)
{
    return row >= count || fates[row] != ROW_RUNS || __atomic_load_n(&shared->states[row], __ATOMIC_RELAXED) >= wanted;
}

bool rows_batch_is_done(uint64_t batch)
{
    size_t first = rows_of_case(batch * BATCH_CASES);
    for (size_t i = 0; i < BATCH_CASES; i++)
        if (!rows_is_done(first + i))
            return false;
    return true;
}

void rows_note_case(size_t row)
{
    __atomic_fetch_add(&shared->states[row], 1, __ATOMIC_RELAXED);
}

/* Two workers that meet a new reason at once take two numbers for it, which is untidy and no more. */
void rows_note_refused(size_t row, const char *why)
{
    unsigned i = 0;
    while (i < REASONS - 1 && shared->reasons[i].why[0] && strcmp(shared->reasons[i].why, why) != 0)
        i++;
    if (!shared->reasons[i].why[0]) {
        shared->reasons[i].example = row;
        snprintf(shared->reasons[i].why, REASON_SIZE, "%s", why);
    }
    reason_numbers[row] = (uint8_t)i;
    fates[row] = ROW_REFUSED;
}

void rows_note_undefined(size_t row)
{
    fates[row] = ROW_UNDEFINED;
}

size_t rows_missing(void)
{
    size_t missing = 0;
    for (size_t i = 0; i < count; i++)
        missing += !rows_is_done(i);
    return missing;
}

/* The file's first part: of which run it is, and where that was. Coverage's counts are its last. */
struct progress {
    char magic[16];
    uint64_t seed, rows, states, check;
    size_t coverage;
    uint64_t pass;
    struct batch_totals totals;
};

static uint64_t mix(uint64_t check, uint8_t byte)
{
    return (check + byte + 1) * 0x9e3779b97f4a7c15;
}

/* Depends on every byte of the library: what another one has done proves nothing of this. */
static uint64_t check_of_library(void)
{
    Dl_info info;
    uint64_t check = 0;
    FILE *file = dladdr((void *)(uintptr_t)segue_plan, &info) ? fopen(info.dli_fname, "rb") : NULL;
    for (int byte; file && (byte = getc_unlocked(file)) != EOF;)
        check = mix(check, (uint8_t)byte);
    if (file)
        fclose(file);
    return check;
}

/* Depends on every row and on their order, too. */
static uint64_t check_of_run(void)
{
    uint64_t check = check_of_library();
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < rows[i].length; k++)
            check = mix(check, rows[i].bytes[k]);
    return check;
}

static struct progress describe_run(uint64_t seed)
{
    struct progress progress = {.magic = MAGIC, .seed = seed, .rows = count, .states = wanted, .check = check_of_run()};
    coverage_counts(&progress.coverage);
    return progress;
}

bool rows_save(const char *path, uint64_t seed, uint64_t pass, const struct batch_totals *totals)
{
    char fresh[4096];
    struct progress progress = describe_run(seed);
    const void *counts = coverage_counts(&progress.coverage);
    progress.pass = pass;
    progress.totals = *totals;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "wb");
    bool ok = file && fwrite(&progress, sizeof progress, 1, file) == 1 && fwrite(shared, shared_size(), 1, file) == 1;
    ok = ok && fwrite(counts, 1, progress.coverage, file) == progress.coverage;
    ok = ok && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file && fclose(file) != 0)
        ok = false;
    ok = ok && rename(fresh, path) == 0;
    if (!ok)
        fprintf(stderr, "differential: cannot write %s: %s\n", path, strerror(errno));
    return ok;
}

bool rows_restore(const char *path, uint64_t seed, uint64_t *pass, struct batch_totals *totals)
{
    struct progress progress, expected = describe_run(seed);
    void *counts = coverage_counts(&expected.coverage);
    *pass = 0;
    FILE *file = fopen(path, "rb");
    if (!file && errno == ENOENT)
        return true;
    bool ok = file && fread(&progress, sizeof progress, 1, file) == 1;
    ok = ok && memcmp(&progress, &expected, offsetof(struct progress, pass)) == 0;
    ok = ok && fread(shared, shared_size(), 1, file) == 1;
    ok = ok && fread(counts, 1, expected.coverage, file) == expected.coverage;
    if (file)
        fclose(file);
    if (!ok) {
        fprintf(stderr,
                "differential: %s is of another library, other rows or other options; remove it to begin anew\n", path);
        return false;
    }
    *pass = progress.pass;
    *totals = progress.totals;
    return true;
}

static void print_row(size_t row)
{
    for (unsigned k = 0; k < rows[row].length; k++)
        printf("%02x", rows[row].bytes[k]);
}

static void summarise_left_out(void)
{
    printf("rows read      %12llu  no instruction %llu, without memory %llu\n", (unsigned long long)left_out.all,
           (unsigned long long)left_out.undefined, (unsigned long long)left_out.no_memory);
    for (unsigned i = 0; i < SEGUE_CLASS_COUNT; i++)
        if (left_out.cannot_run[i])
            printf("  not run here %12llu  of class %s\n", (unsigned long long)left_out.cannot_run[i],
                   segue_class_name(i));
}

void rows_summarise(void)
{
    uint64_t undefined = 0, complete = 0, partly = 0, least = UINT64_MAX, refused[REASONS] = {0};
    size_t short_row = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t states = shared->states[i];
        undefined += fates[i] == ROW_UNDEFINED;
        if (fates[i] == ROW_REFUSED)
            refused[reason_numbers[i]]++;
        if (fates[i] != ROW_RUNS)
            continue;
        complete += states >= wanted;
        partly += states < wanted;
        if (states < least)
            short_row = i;
        least = states < least ? states : least;
    }
    summarise_left_out();
    printf("rows run       %12zu  not had by this processor %llu\n", count, (unsigned long long)undefined);
    printf("  complete     %12llu  with at least %llu states\n", (unsigned long long)complete,
           (unsigned long long)wanted);
    if (partly) {
        printf("  short        %12llu  the least is %llu: ", (unsigned long long)partly, (unsigned long long)least);
        print_row(short_row);
        putchar('\n');
    }
    for (unsigned i = 0; i < REASONS; i++) {
        if (!refused[i])
            continue;
        printf("  refused      %12llu  %s: ", (unsigned long long)refused[i], shared->reasons[i].why);
        print_row(shared->reasons[i].example);
        putchar('\n');
    }
}
