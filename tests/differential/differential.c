/* differential.c: runs every encoding of the MOV family with random register states, natively and stepped, and reports
 * every difference. Zero are expected. With --rows: every row of corpus files, in place of the family.
 *
 *      differential [--states N] [--seed S] [--workers W] [--shard I/N] [--window KIND] [--batch B] [--inject WHAT]
 *                   [--plant NAME] [--all] [--rows FILE]... [--per-row N] [--progress FILE] [--coverage FILE]
 *                   [--reports N] [--check-undefined] [--help]
 *
 * Exits with 0 if there was no difference, 1 if there was, 2 for a bad command line, 77 where it cannot run. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/differential/states/batch.h"
#include "tests/differential/states/rows.h"
#include "tests/support/sweep/coverage.h"
#include "tests/support/sweep/sweep.h"

#define DEFAULT_STATES 10000000u
#define DEFAULT_SEED 1u
#define DEFAULT_ROW_STATES 100u
#define WORKERS_MAX 256
/* Corpus files. */
#define FILES_MAX 8
/* A long run over rows notes where it is about so often, in seconds, but after whole passes. */
#define NOTES_APART 5
/* Reports after which all stop, by default. */
#define DEFAULT_REPORTS 10u
/* One in some four million states differs by an interrupt (docs/facts.md), of a hundred million at most. */
#define MOST_REPEATED 100u
/* A batch takes some milliseconds; one that takes this long hangs. */
#define BATCH_SECONDS 120
#define EXIT_DIFFERENT 1
#define EXIT_USAGE 2
#define EXIT_SKIPPED 77

struct options {
    uint64_t states, seed, workers, shard, shards;
    enum area_set set;
    enum injection injection;
    unsigned plant;
    const char *coverage;
    bool one_batch, check_undefined, all_encodings;
    uint64_t batch;
    /* Corpus files, how many states each of their rows is to have, and where a long run notes how far it is. */
    const char *files[FILES_MAX];
    size_t file_count;
    uint64_t row_states;
    /* The part of the rows; shard 0 of 1 is then all of that. */
    uint64_t part, parts;
    const char *progress;
    uint64_t reports;
};

/* More than Zydis knows. */
#define MNEMONICS_MOST 4096

/* What the workers, which are processes, share. */
static struct shared {
    struct {
        struct batch_totals totals;
        uint64_t distinct, distinct_core;
        volatile uint64_t case_at_hand;
        struct encodings_refusals refusals;
        uint32_t mnemonics[MNEMONICS_MOST];
    } workers[WORKERS_MAX];
    uint64_t reports, reports_most;
    /* With rows: the passes that are at hand, and which of their batches is next, counted over all of them. */
    uint64_t first_pass, passes, next;
} * shared;

static const char usage[] =
    "differential: steps every encoding of the MOV family with random states and compares with the processor.\n"
    "  --states N         how many states, rounded up to whole batches (10000000)\n"
    "  --seed S           what the states come from (1)\n"
    "  --workers W        processes at work (one a processor)\n"
    "  --shard I/N        only the I-th of N equal parts of the states, or of the rows, I from 0\n"
    "  --window KIND      alias, exposed, callback, forced or mixed; else all of them\n"
    "  --batch B          only batch B, as a report names it\n"
    "  --inject WHAT      spoils a result, to see that it is noticed; `list` lists what there is\n"
    "  --plant NAME       spoils the result of each instruction of that name\n"
    "  --all              instructions of every kind, at random, in place of the MOV family\n"
    "  --rows FILE        rows of a corpus file, in place of the MOV family; may be given more than once\n"
    "  --per-row N        how many states each row is to have (100)\n"
    "  --progress FILE    notes there how far a run over rows is, and goes on from there\n"
    "  --coverage FILE    states by window, encoding and mnemonic go there\n"
    "  --reports N        how many differences are reported before it stops (10)\n"
    "  --check-undefined  only checks that what the processor refuses is refused\n";

static void report(const char *text)
{
    if (__atomic_fetch_add(&shared->reports, 1, __ATOMIC_RELAXED) < shared->reports_most) {
        /* In one go, since other workers write too. */
        ssize_t written = write(STDERR_FILENO, text, strlen(text));
        (void)written;
    }
}

static uint64_t batch_count(const struct options *options)
{
    return (options->states + BATCH_CASES - 1) / BATCH_CASES;
}

/* How many of a batch's cases have a form that no batch before it had; `count` counts those of the cases below. */
static uint64_t distinct_in(uint64_t number, uint64_t (*count)(uint64_t cases))
{
    return count((number + 1) * BATCH_CASES) - count(number * BATCH_CASES);
}

static void describe_command(const struct options *options, char *text, size_t size)
{
    size_t length =
        (size_t)snprintf(text, size, "differential%s --seed %llu%s%s", options->all_encodings ? " --all" : "",
                         (unsigned long long)options->seed, options->set == AREA_SETS ? "" : " --window ",
                         options->set == AREA_SETS ? "" : area_set_name(options->set));
    for (size_t i = 0; i < options->file_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, " --rows %s", options->files[i]);
    if (options->parts > 1 && length < size)
        snprintf(text + length, size - length, " --shard %llu/%llu", (unsigned long long)options->part,
                 (unsigned long long)options->parts);
}

/* Parts have other rows, and other states. */
static uint64_t seed_of_part(const struct options *options)
{
    return options->seed ^ (options->part * 0x9e3779b97f4a7c15);
}

static uint64_t batches_of_shard(const struct options *options)
{
    return (rows_batches() + options->shards - 1 - options->shard) / options->shards;
}

/* Takes batches of the passes at hand until all are done. A pass beyond those that were asked for makes up for what
 * other windows than aliases could not do. */
static void work_on_rows(struct batch_options *batch, const struct options *options, struct batch_totals *totals)
{
    uint64_t in_pass = batches_of_shard(options), place;
    while ((place = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED)) < shared->passes * in_pass) {
        if (__atomic_load_n(&shared->reports, __ATOMIC_RELAXED) >= shared->reports_most)
            break;
        uint64_t pass = shared->first_pass + place / in_pass;
        uint64_t number = pass * rows_batches() + options->shard + place % in_pass * options->shards;
        if (rows_batch_is_done(number))
            continue;
        batch->set = pass < options->row_states ? options->set : AREAS_ALIAS;
        alarm(BATCH_SECONDS);
        batch_run(batch, number, totals);
    }
}

static void work(const struct options *options, uint64_t worker)
{
    char command[512];
    struct batch_options batch = {
        .seed = seed_of_part(options),
        .set = options->set,
        .injection = options->injection,
        .plant = options->plant,
        .all_encodings = options->all_encodings,
        .rows = options->file_count > 0,
        .command = command,
        .report = report,
        .case_at_hand = &shared->workers[worker].case_at_hand,
    };
    describe_command(options, command, sizeof command);
    uint64_t number = options->one_batch ? options->batch : options->shard + worker * options->shards;
    uint64_t end = options->one_batch ? options->batch + 1 : batch_count(options);
    if (batch.rows && !options->one_batch) {
        work_on_rows(&batch, options, &shared->workers[worker].totals);
        number = end;
    }
    for (; number < end; number += options->workers * options->shards) {
        if (__atomic_load_n(&shared->reports, __ATOMIC_RELAXED) >= shared->reports_most)
            break;
        alarm(BATCH_SECONDS);
        batch_run(&batch, number, &shared->workers[worker].totals);
        if (!options->all_encodings && !batch.rows) {
            shared->workers[worker].distinct += distinct_in(number, generate_distinct);
            shared->workers[worker].distinct_core += distinct_in(number, generate_distinct_core);
        }
    }
    shared->workers[worker].refusals = encodings_refusals;
    memcpy(shared->workers[worker].mnemonics, encodings_mnemonics,
           segue_mnemonic_count() * sizeof *encodings_mnemonics);
}

/* A worker's whole life. */
static int be_worker(const struct options *options, uint64_t worker)
{
    const char *why = batch_prepare();
    if (why) {
        fprintf(stderr, "SKIP: %s\n", why);
        return EXIT_SKIPPED;
    }
    if (options->check_undefined) {
        why = batch_check_undefined();
        if (why)
            fprintf(stderr, "DIFFERENCE: %s\n", why);
        return why ? EXIT_DIFFERENT : EXIT_SUCCESS;
    }
    work(options, worker);
    return EXIT_SUCCESS;
}

static bool start_workers(const struct options *options, pid_t *pids)
{
    fflush(NULL);
    for (uint64_t i = 0; i < options->workers; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            /* Who kills the whole, kills its parts. */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(be_worker(options, i));
        }
        if (pids[i] < 0)
            return false;
    }
    return true;
}

/* The worst that came of the workers. */
static int wait_for_workers(const struct options *options, const pid_t *pids)
{
    int worst = EXIT_SUCCESS, status;
    for (uint64_t i = 0; i < options->workers; i++) {
        while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
            ;
        if (WIFEXITED(status)) {
            if (WEXITSTATUS(status) == EXIT_SKIPPED || worst == EXIT_SUCCESS)
                worst = WEXITSTATUS(status);
            continue;
        }
        uint64_t at = shared->workers[i].case_at_hand;
        char command[512];
        describe_command(options, command, sizeof command);
        fprintf(stderr, "DIFFERENCE: worker %llu ended by signal %d at case %llu; repeat it with: %s --batch %llu\n",
                (unsigned long long)i, WTERMSIG(status), (unsigned long long)at, command,
                (unsigned long long)(at / BATCH_CASES));
        shared->workers[i].totals.differences++;
    }
    return worst;
}

static void add_totals(struct batch_totals *sum, const struct batch_totals *part)
{
    for (unsigned set = 0; set < AREA_SETS; set++)
        sum->cases[set] += part->cases[set];
    sum->stepped += part->stepped;
    sum->untouched += part->untouched;
    sum->faulted += part->faulted;
    sum->differences += part->differences;
    sum->idle += part->idle;
    sum->other_addresses += part->other_addresses;
    sum->repeated += part->repeated;
    sum->milliseconds += part->milliseconds;
}

static void print_refusal(const struct encodings_refusals *refusals, unsigned i)
{
    printf("  %10llu  %-64s ", (unsigned long long)refusals->reasons[i].count, refusals->reasons[i].why);
    for (unsigned k = 0; k < refusals->reasons[i].example_length; k++)
        printf(" %02x", refusals->reasons[i].example[k]);
    putchar('\n');
}

/* What the plans of the first worker refused, which stands for all, and the mnemonics that were run. */
static void summarise_encodings(const struct options *options)
{
    unsigned distinct = 0;
    for (unsigned i = 0; i < segue_mnemonic_count(); i++) {
        bool seen = false;
        for (uint64_t worker = 0; worker < options->workers; worker++)
            seen |= shared->workers[worker].mnemonics[i] != 0;
        distinct += seen;
    }
    printf("mnemonics      %12u\n", distinct);
    const struct encodings_refusals *refusals = &shared->workers[0].refusals;
    printf("plans asked    %12llu  by worker 0, which refused:\n", (unsigned long long)refusals->planned);
    for (unsigned i = 0; i < ENCODINGS_REASONS && refusals->reasons[i].why; i++)
        print_refusal(refusals, i);
}

static uint64_t summarise(const struct options *options, double seconds)
{
    struct batch_totals sum = {0};
    uint64_t distinct = 0, distinct_core = 0, states = 0;
    for (uint64_t i = 0; i < options->workers; i++) {
        add_totals(&sum, &shared->workers[i].totals);
        distinct += shared->workers[i].distinct;
        distinct_core += shared->workers[i].distinct_core;
    }
    for (unsigned set = 0; set < AREA_SETS; set++)
        states += sum.cases[set];
    printf("states         %12llu  (seed %llu, %llu workers, %.1f s)\n", (unsigned long long)states,
           (unsigned long long)options->seed, (unsigned long long)options->workers,
           seconds + 1e-3 * (double)sum.milliseconds);
    if (!options->all_encodings && options->file_count == 0) {
        printf("distinct forms %12llu  of %llu\n", (unsigned long long)distinct,
               (unsigned long long)generate_form_count());
        printf("  of the core  %12llu  of %llu\n", (unsigned long long)distinct_core,
               (unsigned long long)generate_core_count());
    }
    for (unsigned set = 0; set < AREA_SETS; set++)
        printf("  %-9s    %12llu\n", area_set_name(set), (unsigned long long)sum.cases[set]);
    if (options->all_encodings)
        summarise_encodings(options);
    if (options->file_count && !options->one_batch)
        rows_summarise();
    printf("stepped        %12llu\n", (unsigned long long)sum.stepped);
    printf("not protected  %12llu\n", (unsigned long long)sum.untouched);
    printf("fault natively %12llu\n", (unsigned long long)sum.faulted);
    if (options->all_encodings || options->file_count)
        printf("elsewhere      %12llu  of those that fault natively\n", (unsigned long long)sum.other_addresses);
    if (options->all_encodings || options->file_count)
        printf("batches twice  %12llu  since an XSAVE may show an interrupt\n", (unsigned long long)sum.repeated);
    printf("differences    %12llu\n", (unsigned long long)sum.differences);
    if (sum.repeated > MOST_REPEATED) {
        fprintf(stderr, "differential: more batches were run twice than interrupts can be the cause of\n");
        return sum.differences + 1;
    }
    return sum.differences;
}

/* All workers' lives, once. */
static int employ_workers(const struct options *options)
{
    pid_t pids[WORKERS_MAX];
    if (!start_workers(options, pids)) {
        perror("differential");
        return EXIT_SKIPPED;
    }
    return wait_for_workers(options, pids);
}

static uint64_t count_differences(void)
{
    uint64_t differences = 0;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        differences += shared->workers[i].totals.differences;
    return differences;
}

static bool note_progress(const struct options *options, uint64_t pass, double seconds)
{
    struct batch_totals sum = {0};
    for (size_t i = 0; i < WORKERS_MAX; i++)
        add_totals(&sum, &shared->workers[i].totals);
    sum.milliseconds += (uint64_t)(1e3 * seconds);
    return rows_save(options->progress, options->seed, pass, &sum);
}

/* How many passes are to come before the next note, by how long the last ones took. */
static uint64_t passes_to_come(uint64_t passes, double took)
{
    if (took > NOTES_APART)
        return passes / 2 + passes % 2;
    return took < NOTES_APART / 2.0 ? 2 * passes : passes;
}

/* Pass by pass, with a note after some. After as many again as were asked for no row gains any more. */
static int run_rows(const struct options *options)
{
    uint64_t in_pass = batches_of_shard(options), pass = 0, most = 1;
    int worst = EXIT_SUCCESS;
    double start = sweep_now();
    if (options->progress && !rows_restore(options->progress, options->seed, &pass, &shared->workers[0].totals))
        return EXIT_USAGE;
    while (pass < 2 * options->row_states && in_pass && worst == EXIT_SUCCESS && !count_differences()) {
        bool makes_up = pass >= options->row_states;
        uint64_t end = makes_up ? 2 * options->row_states : options->row_states;
        shared->first_pass = pass;
        shared->passes = end - pass < most ? end - pass : most;
        shared->next = 0;
        double began = sweep_now();
        worst = employ_workers(options);
        most = passes_to_come(most, sweep_now() - began);
        pass += shared->passes;
        if (options->progress && !note_progress(options, pass, sweep_now() - start))
            return EXIT_USAGE;
    }
    return worst;
}

static const char *const *window_names(void)
{
    static const char *names[AREA_SETS];
    for (unsigned i = 0; i < AREA_SETS; i++)
        names[i] = area_set_name((enum area_set)i);
    return names;
}

static int run(const struct options *options)
{
    double start = sweep_now();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("differential");
        return EXIT_SKIPPED;
    }
    shared->reports_most = options->reports;
    for (size_t i = 0; i < options->file_count; i++)
        if (!rows_read(options->files[i]))
            return EXIT_USAGE;
    if (options->file_count)
        rows_take_shard(options->part, options->parts);
    if (options->file_count && !rows_begin(options->row_states))
        return EXIT_SKIPPED;
    if (options->coverage && !coverage_begin(window_names(), AREA_SETS))
        return EXIT_SKIPPED;
    int worst = options->file_count && !options->one_batch ? run_rows(options) : employ_workers(options);
    if (worst != EXIT_SUCCESS || options->check_undefined)
        return worst;
    if (options->coverage && !coverage_save(options->coverage))
        return EXIT_USAGE;
    return summarise(options, sweep_now() - start) ? EXIT_DIFFERENT : EXIT_SUCCESS;
}

static bool parse_set(const char *text, enum area_set *set)
{
    for (*set = 0; *set < AREA_SETS; (*set)++)
        if (strcmp(text, area_set_name(*set)) == 0)
            return true;
    return false;
}

static bool parse_injection(const char *text, enum injection *injection)
{
    for (*injection = 0; *injection < INJECTIONS; (*injection)++)
        if (strcmp(text, injection_name(*injection)) == 0)
            return true;
    return false;
}

enum long_option {
    STATES,
    SEED,
    WORKERS,
    SHARD,
    WINDOW,
    BATCH,
    INJECT,
    PLANT,
    COVERAGE,
    CHECK_UNDEFINED,
    ALL,
    ROWS,
    PER_ROW,
    PROGRESS,
    REPORTS,
    HELP
};

static bool parse_option(int option, struct options *options)
{
    switch ((enum long_option)option) {
    case STATES:
        return sweep_parse_number(optarg, &options->states) && options->states > 0;
    case SEED:
        return sweep_parse_number(optarg, &options->seed);
    case WORKERS:
        return sweep_parse_number(optarg, &options->workers) && options->workers > 0 && options->workers <= WORKERS_MAX;
    case SHARD:
        return sweep_parse_shard(optarg, &options->shard, &options->shards);
    case WINDOW:
        return parse_set(optarg, &options->set);
    case BATCH:
        options->one_batch = true;
        return sweep_parse_number(optarg, &options->batch);
    case INJECT:
        return parse_injection(optarg, &options->injection);
    case PLANT:
        options->plant = segue_mnemonic_find(optarg);
        return options->plant != 0;
    case COVERAGE:
        options->coverage = optarg;
        return true;
    case CHECK_UNDEFINED:
        return options->check_undefined = true;
    case ALL:
        return options->all_encodings = true;
    case ROWS:
        if (options->file_count == FILES_MAX)
            return false;
        options->files[options->file_count++] = optarg;
        return true;
    case PER_ROW:
        return sweep_parse_number(optarg, &options->row_states) && options->row_states > 0 &&
               options->row_states <= 50000;
    case PROGRESS:
        options->progress = optarg;
        return true;
    case REPORTS:
        return sweep_parse_number(optarg, &options->reports) && options->reports > 0;
    case HELP:
        break;
    }
    return false;
}

static void list_injections(void)
{
    for (unsigned i = INJECT_NOTHING + 1; i < INJECTIONS; i++)
        puts(injection_name(i));
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"states", 1, NULL, STATES},
        {"seed", 1, NULL, SEED},
        {"workers", 1, NULL, WORKERS},
        {"shard", 1, NULL, SHARD},
        {"window", 1, NULL, WINDOW},
        {"batch", 1, NULL, BATCH},
        {"inject", 1, NULL, INJECT},
        {"plant", 1, NULL, PLANT},
        {"coverage", 1, NULL, COVERAGE},
        {"check-undefined", 0, NULL, CHECK_UNDEFINED},
        {"all", 0, NULL, ALL},
        {"rows", 1, NULL, ROWS},
        {"per-row", 1, NULL, PER_ROW},
        {"progress", 1, NULL, PROGRESS},
        {"reports", 1, NULL, REPORTS},
        {"help", 0, NULL, HELP},
        {0},
    };
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options options = {
        .states = DEFAULT_STATES,
        .seed = DEFAULT_SEED,
        .workers = processors < 1             ? 1
                   : processors > WORKERS_MAX ? WORKERS_MAX
                                              : (uint64_t)processors,
        .shards = 1,
        .row_states = DEFAULT_ROW_STATES,
        .reports = DEFAULT_REPORTS,
        .set = AREA_SETS,
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == INJECT && strcmp(optarg, "list") == 0) {
            list_injections();
            return EXIT_SUCCESS;
        }
        if (option == '?' || !parse_option(option, &options)) {
            fputs(usage, option == HELP ? stdout : stderr);
            return option == HELP ? EXIT_SUCCESS : EXIT_USAGE;
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (options.file_count) {
        options.part = options.shard;
        options.parts = options.shards;
        options.shard = 0;
        options.shards = 1;
    }
    if (options.one_batch || options.check_undefined || options.injection)
        options.workers = 1;
    return run(&options);
}
