/* sweep.c: see sweep.h. */
#include "sweep.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXIT_USAGE 2

enum long_option { ROWS, PER_ROW, SEED, SHARD, REPORTS, COVERAGE, PLANT, STEP, SEES, HELP };

double sweep_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool sweep_parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

bool sweep_parse_shard(const char *text, uint64_t *shard, uint64_t *shards)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    char *slash = strchr(copy, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return sweep_parse_number(copy, shard) && sweep_parse_number(slash + 1, shards) && *shard < *shards;
}

static bool add_file(struct sweep_options *options)
{
    if (options->file_count == SWEEP_FILES_MAX)
        return false;
    options->files[options->file_count++] = optarg;
    return true;
}

static bool parse_option(int option, struct sweep_options *options)
{
    switch ((enum long_option)option) {
    case ROWS:
        return add_file(options);
    case PER_ROW:
        return sweep_parse_number(optarg, &options->per_row) && options->per_row > 0;
    case SEED:
        return sweep_parse_number(optarg, &options->seed);
    case SHARD:
        return sweep_parse_shard(optarg, &options->shard, &options->shards);
    case REPORTS:
        return sweep_parse_number(optarg, &options->reports) && options->reports > 0;
    case COVERAGE:
        options->coverage = optarg;
        return true;
    case PLANT:
        options->plant = segue_mnemonic_find(optarg);
        return options->plant != 0;
    case STEP:
        return sweep_parse_number(optarg, &options->step);
    case SEES:
        options->sees = true;
        return true;
    case HELP:
        break;
    }
    return false;
}

bool sweep_parse(int argc, char **argv, const char *usage, struct sweep_options *options, int *status)
{
    static const struct option known[] = {
        {"rows", 1, NULL, ROWS},
        {"per-row", 1, NULL, PER_ROW},
        {"seed", 1, NULL, SEED},
        {"shard", 1, NULL, SHARD},
        {"reports", 1, NULL, REPORTS},
        {"coverage", 1, NULL, COVERAGE},
        {"plant", 1, NULL, PLANT},
        {"step", 1, NULL, STEP},
        {"sees", 0, NULL, SEES},
        {"help", 0, NULL, HELP},
        {0},
    };
    const char *slash = strrchr(argv[0], '/');
    *options = (struct sweep_options){.program = slash ? slash + 1 : argv[0],
                                      .per_row = 1,
                                      .seed = 1,
                                      .shards = 1,
                                      .reports = 10,
                                      .began = sweep_now()};
    int option;
    bool ok = true;
    while (ok && (option = getopt_long(argc, argv, "", known, NULL)) != -1)
        ok = option != '?' && parse_option(option, options);
    if (ok && optind == argc && options->file_count)
        return true;
    *status = !ok && option == HELP ? EXIT_SUCCESS : EXIT_USAGE;
    fprintf(*status ? stderr : stdout, "%s" SWEEP_USAGE, usage);
    return false;
}

void sweep_report(const struct sweep_options *options, const struct segue_insn *insn, const char *what)
{
    char bytes[3 * SEGUE_INSN_BYTES + 1] = "";
    for (unsigned i = 0; i < insn->length; i++)
        sprintf(bytes + 3 * i, "%02x ", insn->bytes[i]);
    fprintf(stderr, "DIFFERENCE: %s\n  %s: %s\n  repeat it with: %s --seed %llu --per-row %llu --shard %llu/%llu", what,
            bytes, segue_mnemonic_name(insn->mnemonic), options->program, (unsigned long long)options->seed,
            (unsigned long long)options->per_row, (unsigned long long)options->shard,
            (unsigned long long)options->shards);
    for (unsigned i = 0; i < options->file_count; i++)
        fprintf(stderr, " --rows %s", options->files[i]);
    fputc('\n', stderr);
}

void sweep_summarise(const struct sweep_options *options, uint64_t states)
{
    printf("states         %12llu  (seed %llu, 1 workers, %.1f s)\n", (unsigned long long)states,
           (unsigned long long)options->seed, sweep_now() - options->began);
}
