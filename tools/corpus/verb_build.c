/* verb_build.c: `segue corpus build`. */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "corpus/gather/gather.h"
#include "shown.h"
#include "tools/support/message.h"
#include "tools/support/output/output.h"
#include "tools/support/plural.h"
#include "tools/support/progress.h"
#include "tools/support/verb.h"
#include "verbs.h"

struct options {
    const char *out;
    bool all, generate;
    unsigned per_form, jobs;
};

/* The ELF files whose code is gathered, and the rows of the other files. */
static struct corpus_elf *elfs;
static size_t elf_count;
static struct corpus_rows other_rows;

static enum corpus_elf_status open_elf(const char *path)
{
    struct corpus_elf *more = realloc(elfs, (elf_count + 1) * sizeof *elfs);
    struct corpus_error error;
    if (!more) {
        corpus_error_memory(&error);
        corpus_complain(&error);
        return CORPUS_ELF_FAILED;
    }
    elfs = more;
    enum corpus_elf_status status = corpus_elf_open(&elfs[elf_count], path, &error);
    elf_count += status == CORPUS_ELF_OK;
    if (status == CORPUS_ELF_FAILED)
        corpus_complain(&error);
    return status;
}

/* Files in a folder that are not ELF files with code are skipped. */
static int visit(const char *path, const struct stat *stat, int type, struct FTW *where)
{
    (void)where;
    if (type == FTW_F && S_ISREG(stat->st_mode))
        open_elf(path);
    return 0;
}

static bool add_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        complain("corpus", "cannot open %s: %s", path, strerror(errno));
        return false;
    }
    if (S_ISDIR(status.st_mode))
        return nftw(path, visit, 32, FTW_PHYS) == 0;
    switch (open_elf(path)) {
    case CORPUS_ELF_OK:
        return true;
    case CORPUS_ELF_OTHER:
        return corpus_read_shown(&other_rows, path);
    default:
        return false;
    }
}

static bool add_other_rows(struct corpus_gathered *gathered, struct corpus_error *error)
{
    ZydisDecoder decoder;
    struct corpus_zydis zydis;
    uint8_t slot[CORPUS_SLOT_BYTES];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (size_t i = 0; i < other_rows.count; i++) {
        corpus_slot_fill(slot, &other_rows.rows[i]);
        bool accepted =
            ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, slot, sizeof slot, &zydis.instruction, zydis.operands));
        gathered->instructions++;
        if (!corpus_gather(gathered, &other_rows.rows[i], accepted ? &zydis : NULL))
            return corpus_error_memory(error);
    }
    return true;
}

/* The file's first lines, to be freed: where its rows come from. */
static char *describe(const struct options *options, char **paths)
{
    char *text;
    size_t length;
    FILE *to = open_memstream(&text, &length);
    if (!to)
        abort();
    fprintf(to, "# Instruction bytes, x86-64, built by `segue corpus build`: %s%s.\n# origin:",
            options->all ? "every distinct instruction" : "a few of each form",
            options->generate ? ", generated encodings included" : "");
    for (; *paths; paths++) {
        putc(' ', to);
        print_name(to, strrchr(*paths, '/') ? strrchr(*paths, '/') + 1 : *paths);
    }
    fprintf(to, "%s\n", options->generate ? " the generator" : "");
    if (fclose(to) != 0)
        abort();
    return text;
}

static bool gather_all(const struct options *options, char **paths, struct corpus_gathered *gathered)
{
    corpus_progress *progress = isatty(STDERR_FILENO) ? corpus_show_parts : NULL;
    struct corpus_error error;
    for (; *paths; paths++)
        if (!add_path(*paths))
            return false;
    bool ok = corpus_gather_code(elfs, elf_count, options->jobs, progress, gathered, &error) &&
              add_other_rows(gathered, &error) &&
              (!options->generate || corpus_gather_generated(options->jobs, progress, gathered, &error));
    if (ok && !corpus_forms_rows(&gathered->forms, &gathered->rows))
        ok = corpus_error_memory(&error);
    return ok || corpus_complain(&error);
}

static bool write_rows(const struct corpus_rows *rows, const char *path, const char *header)
{
    struct corpus_error error;
    size_t size;
    /* One step: the compressor does not say how far it is. */
    progress_begin("writing rows", 1);
    char *bytes = corpus_rows_file(rows, path, header, &size, &error);
    progress_end();
    bool ok = bytes ? output_write("corpus", path, bytes, size) : corpus_complain(&error);
    free(bytes);
    return ok;
}

static int build(const struct options *options, char **paths)
{
    struct corpus_gathered gathered = {.all = options->all, .forms.most = options->per_form};
    char *header = describe(options, paths);
    int code = EXIT_FAILED;
    if (gather_all(options, paths, &gathered)) {
        corpus_rows_sort(&gathered.rows);
        if (write_rows(&gathered.rows, options->out, header)) {
            printf("%zu row%s of %llu instruction%s from %zu file%s: %llu byte%s of code read, %llu left out after "
                   "%llu place%s no instruction\n",
                   gathered.rows.count, plural(gathered.rows.count), (unsigned long long)gathered.instructions,
                   plural(gathered.instructions), elf_count, plural(elf_count), (unsigned long long)gathered.bytes_read,
                   plural(gathered.bytes_read), (unsigned long long)gathered.bytes_left_out,
                   (unsigned long long)gathered.refused, gathered.refused == 1 ? " that is" : "s that are");
            code = EXIT_DONE;
        }
    }
    for (size_t i = 0; i < elf_count; i++)
        corpus_elf_close(&elfs[i]);
    free(elfs);
    free(header);
    corpus_rows_free(&other_rows);
    corpus_gathered_free(&gathered);
    return code;
}

int corpus_verb_build(int argument_count, char **arguments)
{
    struct options options = {.per_form = 1, .jobs = corpus_processors()};
    struct command_line line;
    int option;
    command_line_begin(&line, &corpus_build_words, argument_count, arguments);
    while ((option = command_line_next(&line)) != COMMAND_LINE_END) {
        bool ok = true;
        if (option == CORPUS_OPTION_OUTPUT)
            options.out = optarg;
        else if (option == CORPUS_OPTION_ALL)
            options.all = true;
        else if (option == CORPUS_OPTION_GENERATE)
            options.generate = true;
        else if (option == CORPUS_OPTION_PER_FORM)
            ok = corpus_number("--per-form", optarg, 1, 4, &options.per_form);
        else if (option == CORPUS_OPTION_JOBS)
            ok = corpus_number("--jobs", optarg, 1, 256, &options.jobs);
        else
            return misuse_of_line(&line);
        if (!ok)
            return EXIT_USAGE;
    }
    if (!options.out)
        return misuse("corpus", "build needs -o FILE");
    if (optind == argument_count && !options.generate)
        return misuse("corpus", "build from what? name files or folders, or say --generate");
    return corpus_may_write(options.out, arguments + optind) ? build(&options, arguments + optind) : EXIT_FAILED;
}
