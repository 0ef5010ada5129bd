/* corpus_verb.c: `segue corpus`: hands on to what it is told to do. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus_verbs.h"
#include "message.h"
#include "output.h"
#include "verb.h"

static const struct {
    const char *name;
    int (*run)(int argument_count, char **arguments);
} verbs[] = {
    {"build", corpus_verb_build}, {"check", corpus_verb_check}, {"stat", corpus_verb_stat},
    {"diff", corpus_verb_diff},   {"merge", corpus_verb_merge},
};

unsigned corpus_processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

bool corpus_number(const char *option, const char *text, unsigned low, unsigned high, unsigned *value)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || errno || number < low || number > high) {
        misuse("corpus", "%s takes a number from %u to %u, not '%s'", option, low, high, text);
        return false;
    }
    *value = (unsigned)number;
    return true;
}

bool corpus_may_write(const char *path, char *const *inputs)
{
    for (; *inputs; inputs++) {
        if (!output_is_same(path, *inputs))
            continue;
        complain("corpus", "%s would overwrite %s, which is read; give another name", path, *inputs);
        return false;
    }
    return output_accepts("corpus", path);
}

void corpus_data_path(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s/%s", folder ? folder : SEGUE_CORPUS_FOLDER, name);
}

static int run_corpus(int argument_count, char **arguments)
{
    if (argument_count < 2)
        return misuse("corpus", "build, check, stat, diff or merge?");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, arguments[1]) == 0)
            return verbs[i].run(argument_count - 1, arguments + 1);
    return misuse("corpus", "there is no '%s'; say build, check, stat, diff or merge", arguments[1]);
}

const struct verb corpus_verb = {
    .name = "corpus",
    .arguments = "build|check|stat|diff|merge [OPTION...] FILE...",
    .summary = "builds a corpus of instructions, and checks decoders with it",
    .details =
        "A FILE is text, one instruction a line in hexadecimal (.hex, or .hex.xz compressed), or an ELF file, of "
        "which\n"
        "all code that its unwind tables cover is taken.\n"
        "\n"
        "build -o OUT FILE...    writes the distinct forms of the instructions in the files; a folder stands for all "
        "in it\n"
        "  --all                 every distinct instruction, not one to a few of each form\n"
        "  --generate            adds encodings made from the decoder's tables, legal and illegal\n"
        "  --per-form N          how many of each form (1)\n"
        "check FILE...           asks Zydis, Capstone and objdump about every row, and reports where they disagree\n"
        "  --referee WHICH       which rows objdump sees: disputed (default), all, none\n"
        "  --share N             with disputed: also one row in N of the others (16; 0 for none)\n"
        "  --shard I/N           only the I-th of N parts, from 0\n"
        "  --decoder NAME=CMD    another decoder, up to four: a shell command that reads rows and writes answers\n"
        "  --objdump CMD         the referee (objdump)\n"
        "  --data FOLDER         where aliases.txt and disagreements.txt are\n"
        "  --json FILE           writes the report to a file; - for standard output in place of the text\n"
        "  --jobs N              threads (one a processor)\n"
        "merge -o OUT REPORT...  adds the reports of shards up\n"
        "diff REPORT REPORT      shows what became different; exit status 1 if anything did\n"
        "stat FILE...            counts instructions by class and form, and what each engine covers\n"
        "  --json                as JSON\n"
        "\n"
        "check and merge end with status 1 if a row lies outside every known class of disagreement.\n",
    .run = run_corpus,
};
