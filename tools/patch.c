/* patch.c: segue patch. Rewrites a file's accesses through one segment register to go through the other. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "output.h"
#include "patch_job.h"
#include "verb.h"

#define VERB "patch"
#define JOBS_MOST 256

/* What is to be done, beside the options for patching. */
struct request {
    struct patch_options options;
    /* A list to hold the file against, or to take back; at most one of them. */
    const char *verify, *revert;
};

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

static int read_options(int argument_count, char **arguments, struct request *request)
{
    struct patch_options *options = &request->options;
    struct command_line line;
    int found, code = EXIT_DONE;
    command_line_begin(&line, &patch_words, argument_count, arguments);
    while (code == EXIT_DONE && (found = command_line_next(&line)) != COMMAND_LINE_END) {
        switch (found) {
        case PATCH_SYSTEM_CALLS:
            options->all_system_calls = true;
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
            request->revert = optarg;
            break;
        case PATCH_TO:
            code = read_segment("--to", optarg, &options->rewrite.to);
            break;
        case PATCH_VERIFY:
            request->verify = optarg;
            break;
        default:
            return misuse_of_line(&line);
        }
    }
    return code;
}

/* What makes no sense together. */
static int check_request(const struct request *request)
{
    const struct patch_options *options = &request->options;
    if (options->rewrite.from == options->rewrite.to)
        return misuse(VERB, "--from and --to name the same register");
    if (request->verify && request->revert)
        return misuse(VERB, "--verify and --revert exclude each other");
    if (request->verify && (options->output || options->list || options->dry_run))
        return misuse(VERB, "--verify writes nothing; leave out -o, --list and --dry-run");
    if (request->revert && (options->list || options->dry_run))
        return misuse(VERB, "--revert takes no --list and no --dry-run");
    if (options->dry_run && options->output)
        return misuse(VERB, "--dry-run writes nothing; leave out -o, or --dry-run");
    if (!options->dry_run && !request->verify && !options->output)
        return misuse(VERB, "where the result goes is missing; give -o OUT%s", request->revert ? "" : ", or --dry-run");
    return EXIT_DONE;
}

/* What is written may not be where it is read from or where something else is written; but OUT may be FILE. */
static int check_names(const struct request *request, const char *input)
{
    const struct patch_options *options = &request->options;
    const char *const written[] = {options->output, options->list};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (written[i] && !output_accepts(VERB, written[i]))
            return EXIT_FAILED;
    if (options->list && output_is_same(options->list, input))
        return misuse(VERB, "--list %s would overwrite the file itself", options->list);
    if (options->list && options->output && output_is_same(options->list, options->output))
        return misuse(VERB, "--list and -o both name %s", options->list);
    if (request->revert && output_is_same(options->output, request->revert))
        return misuse(VERB, "-o %s would overwrite the list", options->output);
    return EXIT_DONE;
}

static bool write_list(const struct patch_list *list, const char *input, const char *path)
{
    json_t *json = list_json(list, input);
    char *text = json_dumps(json, JSON_INDENT(1));
    json_decref(json);
    if (!text)
        abort();
    bool done = output_write(VERB, path, text, strlen(text), NULL);
    free(text);
    return done;
}

enum patch_outcome patch_file(const struct patch_options *options, const char *input, const char *output,
                              const char *list_path, struct patch_list *list)
{
    struct file_image image;
    bool is_other;
    if (!file_read(&image, input))
        return PATCH_FAILED;
    if (!list_make(list, &image, options->rewrite, &is_other)) {
        file_free(&image);
        return is_other ? PATCH_OTHER : PATCH_REFUSED;
    }
    list_apply(list, &image, LIST_NEW);
    bool done = (!output || output_write(VERB, output, image.bytes, image.size, &image.status)) &&
                (!list_path || write_list(list, input, list_path));
    file_free(&image);
    if (done)
        return PATCH_DONE;
    list_free(list);
    return PATCH_FAILED;
}

static int patch_single(const struct patch_options *options, const char *input)
{
    struct patch_list list;
    switch (patch_file(options, input, options->output, options->list, &list)) {
    case PATCH_DONE:
        break;
    case PATCH_OTHER:
        complain(VERB, "%s is no ELF file and no archive; give an executable, a shared object or an archive", input);
        return EXIT_FAILED;
    default:
        return EXIT_FAILED;
    }
    if (options->json) {
        json_t *json = list_json(&list, input);
        json_dumpf(json, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(json);
    } else {
        list_print(stdout, &list, input, options->all_system_calls);
    }
    list_free(&list);
    return EXIT_DONE;
}

/* Holds the file against the list, and with --revert takes back what the list says. */
static int use_list(const struct request *request, const char *path)
{
    struct patch_list list;
    struct file_image image;
    bool done = false;
    if (!list_read(&list, request->verify ? request->verify : request->revert))
        return EXIT_FAILED;
    if (file_read(&image, path)) {
        done = list_check(&list, &image, LIST_NEW);
        if (done && request->revert) {
            list_apply(&list, &image, LIST_OLD);
            done = output_write(VERB, request->options.output, image.bytes, image.size, &image.status);
        }
        file_free(&image);
    }
    if (done)
        printf("%s: %zu sites %s\n", path, list.site_count, request->revert ? "taken back" : "as in the list");
    list_free(&list);
    return done ? EXIT_DONE : EXIT_FAILED;
}

static int patch(int argument_count, char **arguments)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct request request = {
        .options = {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}, .jobs = processors > 0 ? (unsigned)processors : 1},
    };
    struct stat status;
    int code = read_options(argument_count, arguments, &request);
    if (code != EXIT_DONE)
        return code;
    if (argument_count - optind != 1)
        return misuse(VERB, argument_count == optind ? "the file that is meant is missing; give FILE"
                                                     : "give one file or folder at a time");
    code = check_request(&request);
    if (code != EXIT_DONE)
        return code;
    const char *input = arguments[optind];
    bool is_folder = stat(input, &status) == 0 && S_ISDIR(status.st_mode);
    if (is_folder && !request.verify && !request.revert)
        return patch_tree(&request.options, input);
    code = check_names(&request, input);
    if (code != EXIT_DONE)
        return code;
    return request.verify || request.revert ? use_list(&request, input) : patch_single(&request.options, input);
}

const struct verb patch_verb = {&patch_words, patch};
