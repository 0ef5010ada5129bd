/* verb_check.c: `segue corpus check`, `report`, `merge` and `diff`. */
#include <libgen.h>
#include <segue/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "corpus/check/check.h"
#include "corpus/decoders/names.h"
#include "corpus/decoders/objdump.h"
#include "data.h"
#include "known.h"
#include "shown.h"
#include "tools/corpus/report/report.h"
#include "tools/support/message.h"
#include "tools/support/verb.h"
#include "verbs.h"

struct options {
    struct corpus_check check;
    const char *data;
    const char *json;
    const char *html;
    const char *baseline;
    /* The versions of decoders from outside, by name; and why others are not asked. */
    json_t *versions, *skipped;
    const char *classes[8];
    unsigned class_count, outside_count;
    bool has_share;
};

static const char *const referee_names[] = {"all", "disputed", "none"};

static bool read_referee(struct corpus_check *check, const char *text)
{
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(referee_names[i], text) != 0)
            continue;
        check->referee = (enum corpus_referee)i;
        return true;
    }
    misuse("corpus", "--referee is all, disputed or none, not '%s'", text);
    return false;
}

static bool read_shard(struct corpus_check *check, const char *text)
{
    char rest;
    if (sscanf(text, "%u/%u%c", &check->shard, &check->shards, &rest) == 2 && check->shard < check->shards)
        return true;
    misuse("corpus", "--shard is I/N with I from 0 to N-1, not '%s'", text);
    return false;
}

static bool is_known_decoder(const char *name)
{
    static const char *const known[] = {"capstone", "objdump", "llvm"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static bool add_classes(struct options *options, const char *path)
{
    if (options->class_count == sizeof options->classes / sizeof *options->classes) {
        misuse("corpus", "there are too many --classes");
        return false;
    }
    options->classes[options->class_count++] = path;
    return true;
}

/* Takes in a decoder from outside; the texts must stay. */
static bool add_decoder(struct options *options, const char *name, const char *like, const char *command)
{
    unsigned party = CORPUS_OUTSIDE + options->outside_count;
    for (unsigned i = 0; i < party; i++)
        if (strcmp(corpus_party_names[i], name) == 0 || strcmp("zydis", name) == 0 || strpbrk(name, ". \t")) {
            misuse("corpus",
                   "a decoder cannot be called '%s'; for one that has what is known of another, say NAME:LIKE=COMMAND",
                   name);
            return false;
        }
    if (party == CORPUS_PARTIES) {
        misuse("corpus", "too many decoders");
        return false;
    }
    corpus_party_names[party] = name;
    corpus_party_bases[party] = like;
    options->check.outside[party] = command;
    options->outside_count++;
    return true;
}

static bool read_decoder(struct options *options, char *text)
{
    char *equals = strchr(text, '='), *colon;
    if (!equals || equals == text || !equals[1]) {
        misuse("corpus", "--decoder is NAME=COMMAND, or NAME:LIKE=COMMAND, not '%s'", text);
        return false;
    }
    *equals = 0;
    colon = strchr(text, ':');
    if (colon && !is_known_decoder(colon + 1)) {
        misuse("corpus", "nothing is known of a decoder '%s' that '%.*s' could have; say capstone, objdump or llvm",
               colon + 1, (int)(colon - text), text);
        return false;
    }
    if (colon)
        *colon = 0;
    return add_decoder(options, text, colon ? colon + 1 : NULL, equals + 1);
}

/* Takes in the known decoders that are there, except those whose names were given to others. */
static bool add_known(struct options *options)
{
    bool ok = true;
    options->versions = json_object();
    options->skipped = json_object();
    for (size_t i = 0; ok && i < corpus_known_count; i++) {
        const struct corpus_known *known = &corpus_known[i];
        char text[256];
        bool is_named = false;
        for (unsigned j = 0; j < CORPUS_OUTSIDE + options->outside_count; j++)
            is_named = is_named || strcmp(corpus_party_names[j], known->name) == 0;
        if (is_named)
            continue;
        bool is_there = corpus_known_version(known, text, sizeof text);
        char *shown = quoted_name(text);
        if (!is_there)
            complain("corpus", "without %s: %s", known->name, shown);
        json_object_set_new(is_there ? options->versions : options->skipped, known->name, json_string(shown));
        free(shown);
        ok = !is_there || add_decoder(options, known->name, known->like, known->command);
    }
    return ok;
}

static bool read_option(struct options *options, int option, const struct command_line *line)
{
    switch (option) {
    case CORPUS_OPTION_REFEREE:
        return read_referee(&options->check, optarg);
    case CORPUS_OPTION_SHARE:
        options->has_share = true;
        return corpus_number("--share", optarg, 0, 1u << 30, &options->check.share);
    case CORPUS_OPTION_SHARD:
        return read_shard(&options->check, optarg);
    case CORPUS_OPTION_DECODER:
        return read_decoder(options, optarg);
    case CORPUS_OPTION_OBJDUMP:
        options->check.objdump = optarg;
        return true;
    case CORPUS_OPTION_BASELINE:
        options->baseline = optarg;
        return true;
    case CORPUS_OPTION_CLASSES:
        return add_classes(options, optarg);
    case CORPUS_OPTION_PATIENCE:
        return corpus_number("--patience", optarg, 1, 1u << 20, &options->check.patience);
    case CORPUS_OPTION_DATA:
        options->data = optarg;
        return true;
    case CORPUS_OPTION_JSON:
        options->json = optarg;
        return true;
    case CORPUS_OPTION_HTML:
        options->html = optarg;
        return true;
    case CORPUS_OPTION_SPOIL:
        options->check.spoils = true;
        return true;
    case CORPUS_OPTION_JOBS:
        return corpus_number("--jobs", optarg, 1, 256, &options->check.jobs);
    default:
        misuse_of_line(line);
        return false;
    }
}

/* Adds the circumstances of the check, which a reader of the report needs. */
static bool add_circumstances(json_t *report, const struct options *options, char **paths, double seconds)
{
    const struct corpus_check *check = &options->check;
    char zydis[32], capstone[32], objdump[128] = "not asked", shards[16], referee[48];
    corpus_zydis_version(zydis, sizeof zydis);
    corpus_capstone_version(capstone, sizeof capstone);
    struct corpus_error error;
    if (check->referee != CORPUS_REFEREE_NONE &&
        !corpus_objdump_version(check->objdump, objdump, sizeof objdump, &error))
        return corpus_complain(&error);
    snprintf(shards, sizeof shards, "%u", check->shards);
    snprintf(referee, sizeof referee, check->referee == CORPUS_REFEREE_DISPUTED ? "%s and one in %u" : "%s",
             referee_names[check->referee], check->share);
    json_t *inputs = json_array();
    for (; *paths; paths++) {
        char *name = quoted_name(strrchr(*paths, '/') ? strrchr(*paths, '/') + 1 : *paths);
        json_array_append_new(inputs, json_string(name));
        free(name);
    }
    json_object_set_new(report, "inputs", inputs);
    json_object_set_new(report, "versions",
                        json_pack("{s:s, s:s, s:s, s:s}", "zydis", zydis, "capstone", capstone, "objdump", objdump,
                                  "segue", segue_version_text()));
    if (options->versions)
        json_object_update(json_object_get(report, "versions"), options->versions);
    if (options->skipped)
        json_object_set(report, "skipped", options->skipped);
    json_object_set_new(report, "shard", json_pack("[i]", check->shard));
    json_object_set_new(report, "shards", json_string(shards));
    json_object_set_new(report, "referee", json_string(referee));
    json_object_set_new(report, "seconds", json_real(seconds));
    return true;
}

static int give_out(const json_t *report, const char *json, const char *html)
{
    bool to_stdout = json && strcmp(json, "-") == 0;
    if (json && !corpus_report_write(report, to_stdout ? NULL : json))
        return EXIT_FAILED;
    if (html && !corpus_report_write_html(report, html))
        return EXIT_FAILED;
    if (!to_stdout)
        corpus_report_print(report);
    return corpus_report_unknown(report) ? EXIT_FAILED : EXIT_DONE;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int check_rows(struct options *options, char **paths, const json_t *baseline)
{
    struct corpus_counts counts;
    struct corpus_error error;
    int code = EXIT_FAILED;
    double start = now();
    options->check.unknown_examples = options->json || baseline ? CORPUS_ALL_EXAMPLES : CORPUS_UNKNOWN_EXAMPLES;
    corpus_counts_init(&counts, options->check.unknown_examples);
    if (!corpus_check_run(&options->check, &counts, &error)) {
        corpus_complain(&error);
    } else {
        json_t *report = corpus_report(&counts, options->check.rules);
        if (options->check.rows->left_out)
            json_object_set_new(report, "left_out", json_integer((json_int_t)options->check.rows->left_out));
        if (add_circumstances(report, options, paths, now() - start) &&
            (!baseline || corpus_report_forgive(report, baseline)))
            code = give_out(report, options->json, options->html);
        json_decref(report);
    }
    corpus_counts_free(&counts);
    return code;
}

/* Appends to PATH the data folder and the folders of programs, the build's and the installed one, so that the commands
 * of decoders find them. */
static void extend_path(const char *folder)
{
    const char *path = getenv("PATH");
    char self[4096], *longer;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    if (asprintf(&longer, "%s:%s:%s/../corpus:%s", path ? path : "/bin:/usr/bin", corpus_data_folder(folder),
                 dirname(self), SEGUE_DEMO_FOLDER) < 0)
        abort();
    setenv("PATH", longer, 1);
    free(longer);
}

static int check_paths(struct options *options, char **paths)
{
    struct corpus_rows rows = {0};
    struct corpus_rules rules = {0};
    struct corpus_error error;
    char path[4096];
    corpus_data_path(path, sizeof path, options->data, "aliases.txt");
    bool ok = corpus_names_read(path, &error);
    corpus_data_path(path, sizeof path, options->data, "disagreements.txt");
    ok = ok && corpus_rules_read(&rules, path, &error);
    for (unsigned i = 0; ok && i < options->class_count; i++)
        ok = corpus_rules_read(&rules, options->classes[i], &error);
    if (!ok)
        corpus_complain(&error);
    json_t *baseline = ok && options->baseline ? corpus_report_read(options->baseline) : NULL;
    ok = ok && (baseline || !options->baseline);
    for (char **each = paths; ok && *each; each++)
        ok = corpus_take_shown(&rows, corpus_find_rows(*each, options->data));
    corpus_capstone_prepare();
    options->check.rows = &rows;
    options->check.rules = &rules;
    int code = ok ? check_rows(options, paths, baseline) : EXIT_FAILED;
    json_decref(baseline);
    corpus_rules_free(&rules);
    corpus_rows_free(&rows);
    return code;
}

/* Whether the results can be written. */
static bool may_write(const char *path, char **inputs)
{
    return !path || strcmp(path, "-") == 0 || corpus_may_write(path, inputs);
}

/* Asks every decoder that is there about every row. */
int corpus_verb_report(int argument_count, char **arguments)
{
    struct options options = {.check = {.referee = CORPUS_REFEREE_ALL,
                                        .shards = 1,
                                        .with_segue = true,
                                        .with_source = true,
                                        .objdump = "objdump",
                                        .jobs = corpus_processors(),
                                        .progress = isatty(STDERR_FILENO) ? corpus_show_rows : NULL}};
    struct command_line line;
    int option, code = EXIT_FAILED;
    command_line_begin(&line, &corpus_report_words, argument_count, arguments);
    while ((option = command_line_next(&line)) != COMMAND_LINE_END)
        if (!read_option(&options, option, &line))
            return EXIT_USAGE;
    if (optind == argument_count)
        return misuse("corpus", "report on what?");
    if (options.html && strcmp(options.html, "-") == 0)
        return misuse("corpus", "--html takes the name of a file");
    if (!may_write(options.json, arguments + optind) || !may_write(options.html, arguments + optind))
        return EXIT_FAILED;
    extend_path(options.data);
    if (add_known(&options))
        code = check_paths(&options, arguments + optind);
    json_decref(options.versions);
    json_decref(options.skipped);
    return code;
}

int corpus_verb_check(int argument_count, char **arguments)
{
    struct options options = {.check = {.referee = CORPUS_REFEREE_DISPUTED,
                                        .share = 16,
                                        .shards = 1,
                                        .with_segue = true,
                                        .with_source = true,
                                        .objdump = "objdump",
                                        .jobs = corpus_processors(),
                                        .progress = isatty(STDERR_FILENO) ? corpus_show_rows : NULL}};
    struct command_line line;
    int option;
    command_line_begin(&line, &corpus_check_words, argument_count, arguments);
    while ((option = command_line_next(&line)) != COMMAND_LINE_END)
        if (!read_option(&options, option, &line))
            return EXIT_USAGE;
    if (options.has_share && options.check.referee != CORPUS_REFEREE_DISPUTED)
        return misuse("corpus",
                      "--referee %s and --share exclude each other: a share is added to the disputed rows; "
                      "leave one of them out",
                      referee_names[options.check.referee]);
    if (optind == argument_count)
        return misuse("corpus", "check what?");
    if (!may_write(options.json, arguments + optind))
        return EXIT_FAILED;
    extend_path(options.data);
    return check_paths(&options, arguments + optind);
}

int corpus_verb_merge(int argument_count, char **arguments)
{
    const char *out = NULL;
    struct command_line line;
    int option;
    command_line_begin(&line, &corpus_merge_words, argument_count, arguments);
    while ((option = command_line_next(&line)) != COMMAND_LINE_END) {
        if (option != CORPUS_OPTION_OUTPUT)
            return misuse_of_line(&line);
        out = optarg;
    }
    if (optind == argument_count)
        return misuse("corpus", "merge what?");
    if (out && strcmp(out, "-") != 0 && !corpus_may_write(out, arguments + optind))
        return EXIT_FAILED;
    json_t *sum = json_object();
    int code = EXIT_DONE;
    for (int i = optind; code == EXIT_DONE && i < argument_count; i++) {
        json_t *report = corpus_report_read(arguments[i]);
        if (!report || !corpus_report_merge(sum, report))
            code = EXIT_FAILED;
        json_decref(report);
    }
    if (code == EXIT_DONE)
        code = give_out(sum, out, NULL);
    json_decref(sum);
    return code;
}

int corpus_verb_diff(int argument_count, char **arguments)
{
    struct command_line line;
    command_line_begin(&line, &corpus_diff_words, argument_count, arguments);
    if (command_line_next(&line) != COMMAND_LINE_END)
        return misuse_of_line(&line);
    if (argument_count - optind != 2)
        return misuse("corpus", "diff takes two reports, and there are %d", argument_count - optind);
    char **reports = arguments + optind;
    json_t *before = corpus_report_read(reports[0]), *after = before ? corpus_report_read(reports[1]) : NULL;
    int code = after && corpus_report_diff(before, after) == 0 ? EXIT_DONE : EXIT_FAILED;
    json_decref(before);
    json_decref(after);
    return code;
}
