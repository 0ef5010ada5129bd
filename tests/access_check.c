/* access_check.c: holds segue_accesses against the processor: over every form of every instruction, or over the rows of
 * files.
 *
 *      access_check [--seed S] [--verbose] [FILE...]
 *
 * A row is the hex of one instruction; what follows a blank in it, and lines that begin with '#', are ignored. Exits
 * with 0 if there was no difference, 1 if there was, 2 for a bad command line, 77 where it cannot run. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_case.h"
#include "access_forms.h"

#define EXIT_DIFFERENT 1
#define EXIT_USAGE 2
#define EXIT_SKIPPED 77
#define REPORTS_MAX 60

struct totals {
    uint64_t seed;
    uint64_t number;
    uint64_t results[ACCESS_RESULTS];
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

static void check(const struct segue_insn *insn, void *context)
{
    struct totals *totals = context;
    struct random random = random_for(totals->seed, totals->number++);
    enum access_result result = access_check(insn, &random, &totals->report);
    totals->results[result]++;
    if (result == ACCESS_DIFFERENT && totals->results[ACCESS_DIFFERENT] <= REPORTS_MAX)
        printf("DIFFERENT %s\n", totals->report.text);
    if (totals->verbose && result != ACCESS_SAME && result != ACCESS_DIFFERENT) {
        for (unsigned i = 0; i < insn->length; i++)
            printf("%02x", insn->bytes[i]);
        printf(" %s: %s\n", segue_mnemonic_name(insn->mnemonic), result_names[result]);
    }
    fflush(stdout);
}

/* The bytes at the beginning of a line; 0 if there are none. */
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
        if (size && segue_decode(SEGUE_MODE_64, bytes, size, &insn) == SEGUE_OK)
            check(&insn, totals);
    }
    fclose(file);
    return true;
}

int main(int count, char **arguments)
{
    static struct totals totals = {.seed = 1};
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"verbose", no_argument, NULL, 'v'}, {0}};
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        if (option == 's')
            totals.seed = strtoull(optarg, NULL, 0);
        else if (option == 'v')
            totals.verbose = true;
        else
            return EXIT_USAGE;
    }
    const char *why = access_prepare();
    if (why) {
        printf("SKIP: %s\n", why);
        return EXIT_SKIPPED;
    }
    if (optind == count)
        printf("%" PRIu64 " encodings tried\n", access_forms(SEGUE_MODE_64, check, &totals));
    for (int i = optind; i < count; i++)
        if (!check_file(arguments[i], &totals))
            return EXIT_USAGE;
    for (size_t i = 0; i < ACCESS_RESULTS; i++)
        printf("%8" PRIu64 " %s\n", totals.results[i], result_names[i]);
    printf("%8" PRIu64 " native runs\n", totals.report.runs);
    return totals.results[ACCESS_DIFFERENT] ? EXIT_DIFFERENT : 0;
}
