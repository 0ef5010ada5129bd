/* patch.c: segue patch. Rewrites a file's accesses through one segment register to go through the other. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/patch/list/changes.h"
#include "tools/patch/tree/tree.h"
#include "tools/support/message.h"
#include "tools/support/output/output.h"
#include "tools/support/plural.h"
#include "tools/support/progress.h"
#include "tools/support/verb.h"

#define VERB "patch"
#define JOBS_MOST 256

static int read_segment(const char *option, const char *text, enum segue_segment *segment)
{
    if (strcmp(text, "fs") != 0 && strcmp(text, "gs") != 0)
        return misuse(VERB, "%s wants fs or gs, not '%s'", option, text);
    *segment = strcmp(text, "fs") == 0 ? SEGUE_SEGMENT_FS : SEGUE_SEGMENT_GS;
    return EXIT_DONE;
}

static int read_jobs(const char *text, unsigned *jobs)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno || *end || end == text || number == 0 || number > JOBS_MOST)
        return misuse(VERB, "--jobs wants a number from 1 to %d, not '%s'", JOBS_MOST, text);
    *jobs = (unsigned)number;
    return EXIT_DONE;
}

static int read_options(int argument_count, char **arguments, struct patch_options *options)
{
    struct command_line line;
    int found, code = EXIT_DONE;
    command_line_begin(&line, &patch_words, argument_count, arguments);
    while (code == EXIT_DONE && (found = command_line_next(&line)) != COMMAND_LINE_END) {
        switch (found) {
        case PATCH_SYSTEM_CALLS:
            options->all_system_calls = true;
            break;
        case PATCH_DETAILS:
            options->details = true;
            break;
        case PATCH_DRY_RUN:
            options->dry_run = true;
            break;
        case PATCH_FROM:
            code = read_segment("--from", optarg, &options->rewrite.from);
            break;
        case PATCH_JOBS:
            code = read_jobs(optarg, &options->jobs);
            break;
        case PATCH_JSON:
            options->json = true;
            break;
        case PATCH_LIST:
            options->list = optarg;
            break;
        case PATCH_OUTPUT:
            options->output = optarg;
            break;
        case PATCH_REVERT:
            options->revert = optarg;
            break;
        case PATCH_STRICT:
            options->strict = true;
            break;
        case PATCH_TO:
            code = read_segment("--to", optarg, &options->rewrite.to);
            break;
        case PATCH_VERIFY:
            options->verify = optarg;
            break;
        default:
            return misuse_of_line(&line);
        }
    }
    return code;
}

/* Refuses combinations of options that make no sense, beside the pairs that patch_words lists. */
static int check_options(const struct patch_options *options)
{
    if (options->rewrite.from == options->rewrite.to)
        return misuse(VERB, "--from and --to name the same register");
    if (!options->dry_run && !options->verify && !options->output)
        return misuse(VERB, "where the result goes is missing; give -o OUT%s", options->revert ? "" : ", or --dry-run");
    return EXIT_DONE;
}

/* A result may not be where the input is or another result goes; but OUT may be FILE. */
static int check_names(const struct patch_options *options, const char *input)
{
    const char *const written[] = {options->output, options->list};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (written[i] && !output_accepts(VERB, written[i]))
            return EXIT_FAILED;
    if (options->list && output_is_same(options->list, input))
        return misuse(VERB, "--list %s would overwrite the file itself", options->list);
    if (options->list && options->output && output_is_same(options->list, options->output))
        return misuse(VERB, "--list and -o both name %s", options->list);
    if (options->revert && output_is_same(options->output, options->revert))
        return misuse(VERB, "-o %s would overwrite the list", options->output);
    return EXIT_DONE;
}

/* Whether standard output is a pipe or socket whose other end is closed. */
static bool reader_is_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP));
}

/* Prints the list, before the file is in place. */
static bool print_json(const struct patch_work *work, const struct patch_list *list)
{
    if (list_write_json(stdout, list, work->file->path, LIST_LINES))
        return true;
    /* With --dry-run, end_of_output reports the error. */
    if (work->options->dry_run && reader_is_gone())
        return false;
    complain(VERB, "cannot write the list to standard output: %s", strerror(errno));
    return false;
}

/* Warns that of several names of a file, only the given one leads to the result. */
static void tell_of_links(const struct patch_options *options, const struct patch_file *file)
{
    if (options->output && file->status.st_nlink > 1 && output_is_same(options->output, file->path))
        complain(VERB, "%s has %ju names; the others still name the file as it was", file->path,
                 (uintmax_t)file->status.st_nlink);
}

static int patch_single(const struct patch_options *options, struct patch_file *file)
{
    struct patch_list list;
    struct patch_work work = {
        .options = options,
        .file = file,
        .output = {.path = options->output, .folder = -1},
        .list = {.path = options->list, .folder = -1},
        .tell = options->json ? print_json : NULL,
    };
    progress_begin("copying", 2 * file->size);
    enum patch_outcome outcome = patch_file_to(&work, &list);
    progress_end();
    if (outcome == PATCH_OTHER)
        complain(VERB, "%s is neither an ELF file nor an archive; give an executable, a shared object or an archive",
                 file->path);
    if (outcome != PATCH_DONE)
        return EXIT_FAILED;
    tell_of_links(options, file);
    if (!options->json)
        list_print(stdout, &list, file->path, options->all_system_calls ? LIST_SITES_AND_CALLS : LIST_SITES);
    int code = options->strict && list.counts.likely ? EXIT_LEFT_ALONE : EXIT_DONE;
    list_free(&list);
    return code;
}

/* Compares the file with the list, and with --revert takes the changes back. */
static int use_list(const struct patch_options *options, struct patch_file *file)
{
    const char *path = options->verify ? options->verify : options->revert;
    struct patch_place output = {.path = options->output, .folder = -1};
    struct changes changes;
    if (changes_read(&changes, AT_FDCWD, path, 0, path, CHANGES_SAY) != CHANGES_READ)
        return EXIT_FAILED;
    progress_begin(options->revert ? "taking back" : "comparing", file->size);
    bool done = patch_take_back(file, &changes, &output);
    progress_end();
    if (done) {
        print_name(stdout, file->path);
        printf(": %zu site%s %s\n", changes.count, plural(changes.count),
               options->revert ? "taken back" : "as in the list");
    }
    changes_free(&changes);
    return done ? EXIT_DONE : EXIT_FAILED;
}

static int patch_path(const struct patch_options *options, const char *input)
{
    struct patch_file file;
    struct stat status;
    if (stat(input, &status) == 0 && S_ISDIR(status.st_mode))
        return patch_tree(options, input);
    int code = check_names(options, input);
    if (code != EXIT_DONE)
        return code;
    if (!patch_file_open(&file, input))
        return EXIT_FAILED;
    code = options->verify || options->revert ? use_list(options, &file) : patch_single(options, &file);
    patch_file_close(&file);
    return code;
}

/* If the reader of the output has gone away, the verb, like the others, ends by SIGPIPE now that the files are written,
 * unless the command was started with SIGPIPE ignored. If a file could not be made, that was printed, and stays the
 * reason. */
static int end_of_output(const struct patch_options *options, int code, void (*before)(int))
{
    bool is_out = fflush(stdout) == 0 && !ferror(stdout);
    signal(SIGPIPE, before);
    if (!is_out && before != SIG_IGN && reader_is_gone() && (code != EXIT_FAILED || !options->output))
        raise(SIGPIPE);
    return code;
}

static int patch(int argument_count, char **arguments)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct patch_options options = {
        .rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS},
        .jobs = processors > 0 ? (unsigned)processors : 1,
    };
    output_claim_descriptors();
    int code = read_options(argument_count, arguments, &options);
    if (code != EXIT_DONE)
        return code;
    if (argument_count - optind != 1)
        return misuse(VERB, argument_count == optind ? "the file that is meant is missing; give FILE"
                                                     : "give one file or folder at a time");
    code = check_options(&options);
    if (code != EXIT_DONE)
        return code;
    /* SIGPIPE is ignored: the files are written whole even if the reader of the output has gone away. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    output_survive_signals();
    return end_of_output(&options, patch_path(&options, arguments[optind]), before);
}

const struct verb patch_verb = {&patch_words, patch};
