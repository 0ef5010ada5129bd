/* access_check.c: holds segue_accesses against the processor: over every form of every instruction, or over the rows of
 * files.
 *
 *      access_check [--mode 32] [--seed S] [--every N] [--shard I/N] [--per-row N] [--spoil] [--verbose]
 *                   [--coverage FILE] [--plant NAME] [FILE...]
 *
 * With --every only one form or row in N is checked, another one with another seed; --shard I/N is the I-th part of N
 * that make up all. With --per-row each is checked with N seeds. A row is the hex of one instruction; what follows a
 * blank in it, and lines that begin with '#', are ignored. --mode 32 takes both for 32-bit mode. With --spoil each list
 * that the processor agrees with is checked again with one thing in it made wrong, and those that pass nevertheless are
 * counted. With --plant the lists of all instructions of that name are made wrong, and --coverage counts instructions
 * by encoding and mnemonic. Exits with 0 if there was no difference, 1 if there was, or if a wrong list passed, 2 for a
 * bad command line, 77 where it cannot run. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_case.h"
#include "access_forms.h"
#include "tests/support/sweep/coverage.h"
#include "tests/support/sweep/sweep.h"

#define EXIT_DIFFERENT 1
#define EXIT_USAGE 2
#define EXIT_SKIPPED 77
#define REPORTS_MAX 100

/* What is made wrong in a list. */
enum spoil { SPOIL_LONGER, SPOIL_SHORTER, SPOIL_LATER, SPOIL_DIRECTION, SPOIL_LEFT_OUT, SPOILS };

struct totals {
    enum segue_mode mode;
    uint64_t seed, every, per_row;
    const char *coverage;
    unsigned plant;
    unsigned shard, shards;
    uint64_t number;
    uint64_t results[ACCESS_RESULTS];
    /* Wrong lists, by what is wrong, and how many of them passed. */
    uint64_t spoilt[SPOILS], passed[SPOILS];
    bool spoils;
    bool verbose;
    struct access_report report;
};

static const char *const result_names[ACCESS_RESULTS] = {
    [ACCESS_SAME] = "as listed",
    [ACCESS_DIFFERENT] = "different",
    [ACCESS_UNKNOWN] = "not on this processor",
    [ACCESS_NOT_RUN] = "not to be run here",
    [ACCESS_NOT_PLACED] = "not placed",
    [ACCESS_REFUSED] = "refused by name",
    [ACCESS_NONE] = "no access, as listed",
};

static const char *const spoil_names[SPOILS] = {
    [SPOIL_LONGER] = "a byte too long",      [SPOIL_SHORTER] = "a byte too short",
    [SPOIL_LATER] = "a byte too far up",     [SPOIL_DIRECTION] = "read for write or write for read",
    [SPOIL_LEFT_OUT] = "without an operand",
};

/* Whether a wrong byte would show: the operand can be put at any byte of a page, and may lie across two. A branch
 * through a place that is not filled would not come back. */
static bool shows(const struct segue_insn *insn)
{
    const struct segue_memory_operand *memory = &insn->memory[0];
    return insn->class_ != SEGUE_CLASS_BRANCH && memory->addressing == SEGUE_ADDRESSING_PLAIN && !memory->masking &&
           !memory->probe && !memory->flags && !memory->alignment && memory->base != SEGUE_REGISTER_NONE &&
           memory->index != memory->base;
}

/* Makes one thing of the first operand wrong; false if nothing is left. */
static bool make_wrong(struct segue_insn *insn, enum spoil spoil)
{
    struct segue_memory_operand *memory = &insn->memory[0];
    switch (spoil) {
    case SPOIL_LONGER:
        memory->size++;
        break;
    case SPOIL_SHORTER:
        memory->size--;
        break;
    case SPOIL_LATER:
        memory->displacement++;
        break;
    case SPOIL_DIRECTION:
        /* What is read and written is first read by some, and at once written by others. */
        memory->direction ^= SEGUE_READ | SEGUE_WRITE;
        break;
    default:
        /* What is not known to be accessed is looked for where the registers lead, but not close to another operand,
         * and not below 64 KiB. */
        if (insn->address_size == 2 || (insn->memory_count == 2 && insn->memory[1].base == memory->base) ||
            memory->segment >= SEGUE_SEGMENT_FS)
            return false;
        insn->memory_count--;
        *memory = insn->memory[1];
        return true;
    }
    return memory->direction && memory->size > 0;
}

static void check_spoilt(const struct segue_insn *insn, struct random *random, struct totals *totals)
{
    for (unsigned spoil = 0; spoil < SPOILS; spoil++) {
        struct segue_insn wrong = *insn;
        struct access_report report = {0};
        if (!shows(insn) || !make_wrong(&wrong, (enum spoil)spoil))
            continue;
        enum access_result result = access_check(&wrong, random, &report);
        totals->spoilt[spoil] += result == ACCESS_DIFFERENT || result == ACCESS_SAME || result == ACCESS_NONE;
        if (result != ACCESS_SAME && result != ACCESS_NONE)
            continue;
        totals->passed[spoil]++;
        if (totals->verbose)
            printf("PASSED %s, %s: %s\n", segue_mnemonic_name(insn->mnemonic), spoil_names[spoil],
                   result_names[result]);
    }
}

/* As sweep.h has it. */
static void report(const struct segue_insn *insn, const struct totals *totals)
{
    printf("DIFFERENT %s\n", totals->report.text);
    fflush(stdout);
    sweep_report(&(struct sweep_options){.program = "access_check",
                                         .seed = totals->seed,
                                         .per_row = totals->per_row,
                                         .shard = totals->shard,
                                         .shards = totals->shards},
                 insn, "the accesses are others than the list has");
}

static void check_once(const struct segue_insn *insn, struct random random, struct totals *totals)
{
    struct segue_insn checked = *insn;
    if (totals->plant && insn->mnemonic == totals->plant && shows(insn))
        make_wrong(&checked, SPOIL_LONGER);
    /* Printed before it runs: some can bring the program down. */
    for (unsigned i = 0; totals->verbose && i < insn->length; i++)
        printf("%02x", insn->bytes[i]);
    fflush(stdout);
    enum access_result result = access_check(&checked, &random, &totals->report);
    totals->results[result]++;
    if (result == ACCESS_SAME || result == ACCESS_DIFFERENT || result == ACCESS_NONE)
        coverage_note(insn, 0);
    if (totals->verbose)
        printf(" %s: %s\n", segue_mnemonic_name(insn->mnemonic), result_names[result]);
    if (totals->spoils && result == ACCESS_SAME)
        check_spoilt(insn, &random, totals);
    if (result == ACCESS_DIFFERENT && totals->results[ACCESS_DIFFERENT] <= REPORTS_MAX)
        report(insn, totals);
    fflush(stdout);
}

static void check(const struct segue_insn *insn, void *context)
{
    struct totals *totals = context;
    uint64_t number = totals->number++;
    if ((number + totals->seed) % totals->every || number / totals->every % totals->shards != totals->shard)
        return;
    for (uint64_t i = 0; i < totals->per_row; i++)
        check_once(insn, random_for(totals->seed + i, number), totals);
}

/* The bytes at the beginning of a line; 0 if the line has no bytes. */
static size_t read_row(const char *line, uint8_t bytes[SEGUE_INSN_BYTES])
{
    size_t size = 0;
    unsigned value;
    while (size < SEGUE_INSN_BYTES && strspn(line, "0123456789abcdefABCDEF") >= 2 && sscanf(line, "%2x", &value) == 1) {
        bytes[size++] = (uint8_t)value;
        line += 2;
    }
    return size;
}

static bool check_file(const char *name, struct totals *totals)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    struct segue_insn insn;
    char line[1024];
    FILE *file = fopen(name, "r");
    if (!file) {
        perror(name);
        return false;
    }
    while (fgets(line, sizeof line, file)) {
        size_t size = read_row(line, bytes);
        if (size && segue_decode(totals->mode, bytes, size, &insn) == SEGUE_OK)
            check(&insn, totals);
    }
    fclose(file);
    return true;
}

int main(int count, char **arguments)
{
    static struct totals totals = {.seed = 1, .every = 1, .per_row = 1, .shards = 1};
    static const struct option options[] = {
        {"mode", required_argument, NULL, 'm'},    {"seed", required_argument, NULL, 's'},
        {"every", required_argument, NULL, 'e'},   {"shard", required_argument, NULL, 'h'},
        {"per-row", required_argument, NULL, 'p'}, {"coverage", required_argument, NULL, 'c'},
        {"plant", required_argument, NULL, 'l'},   {"spoil", no_argument, NULL, 'w'},
        {"verbose", no_argument, NULL, 'v'},       {0}};
    static const char *const windows[] = {"closed"};
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        if (option == 'm' && strcmp(optarg, "32") == 0)
            totals.mode = SEGUE_MODE_32;
        else if (option == 's')
            totals.seed = strtoull(optarg, NULL, 0);
        else if (option == 'e' && strtoull(optarg, NULL, 0))
            totals.every = strtoull(optarg, NULL, 0);
        else if (option == 'h' && sscanf(optarg, "%u/%u", &totals.shard, &totals.shards) == 2 &&
                 totals.shard < totals.shards)
            continue;
        else if (option == 'p' && strtoull(optarg, NULL, 0))
            totals.per_row = strtoull(optarg, NULL, 0);
        else if (option == 'c')
            totals.coverage = optarg;
        else if (option == 'l' && segue_mnemonic_find(optarg))
            totals.plant = segue_mnemonic_find(optarg);
        else if (option == 'w')
            totals.spoils = true;
        else if (option == 'v')
            totals.verbose = true;
        else
            return EXIT_USAGE;
    }
    double began = sweep_now();
    const char *why = access_prepare(totals.mode);
    if (!why && totals.coverage && !coverage_begin(windows, 1))
        why = "there is no memory for what is covered";
    if (why) {
        printf("SKIP: %s\n", why);
        return EXIT_SKIPPED;
    }
    if (optind == count)
        printf("%" PRIu64 " encodings tried\n", access_forms(totals.mode, check, &totals));
    for (int i = optind; i < count; i++)
        if (!check_file(arguments[i], &totals))
            return EXIT_USAGE;
    for (size_t i = 0; i < ACCESS_RESULTS; i++)
        printf("%8" PRIu64 " %s\n", totals.results[i], result_names[i]);
    printf("%8" PRIu64 " native runs\n", totals.report.runs);
    sweep_summarise(&(struct sweep_options){.seed = totals.seed, .began = began}, totals.report.runs);
    if (totals.coverage && !coverage_save(totals.coverage))
        return EXIT_USAGE;
    bool blind = false;
    for (unsigned i = 0; totals.spoils && i < SPOILS; i++) {
        printf("%8" PRIu64 " of %" PRIu64 " wrong lists passed: %s\n", totals.passed[i], totals.spoilt[i],
               spoil_names[i]);
        blind |= totals.passed[i] > 0;
    }
    return totals.results[ACCESS_DIFFERENT] || blind ? EXIT_DIFFERENT : 0;
}
