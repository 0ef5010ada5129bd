/* corpus.c: what `segue corpus` and its parts take. */
#include "command_line.h"

#define JOBS                                                                                                           \
    {                                                                                                                  \
        CORPUS_OPTION_JOBS, "jobs", "N", "threads; as many as processors if not given", NULL                           \
    }

const struct verb_words corpus_build_words = {
    .name = "corpus build",
    .forms = (const char *const[]){"-o OUT [--all] [--generate] [--per-form N] [--jobs N] FILE...", NULL},
    .summary = "writes the distinct forms of the instructions in the files; a folder stands for all in it",
    .options =
        (const struct option_words[]){
            {CORPUS_OPTION_OUTPUT, "output", "OUT", "where they go; compressed if the name ends in .xz", NULL},
            {CORPUS_OPTION_ALL, "all", NULL, "every distinct instruction, not one to a few of each form", NULL},
            {CORPUS_OPTION_GENERATE, "generate", NULL, "adds an enumeration of encodings, legal and illegal", NULL},
            {CORPUS_OPTION_PER_FORM, "per-form", "N", "how many of each form, from 1 to 4; 1 if not given", NULL},
            JOBS,
            {0},
        },
    .exclusions =
        (const struct option_pair[]){
            {CORPUS_OPTION_ALL, CORPUS_OPTION_PER_FORM, "--all takes as many of each form as there are"},
            {0},
        },
};

const struct verb_words corpus_check_words = {
    .name = "corpus check",
    .forms =
        (const char *const[]){
            "[--referee disputed|all|none] [--share N] [--shard I/N] [--decoder NAME[:LIKE]=COMMAND] "
            "[--patience SECONDS] [--objdump COMMAND] [--classes FILE] [--baseline REPORT] [--data FOLDER] "
            "[--json OUT] [--spoil] [--jobs N] FILE...",
            NULL,
        },
    .summary = "asks Zydis, Capstone, objdump and other decoders about each row, and reports where they disagree",
    .options =
        (const struct option_words[]){
            {CORPUS_OPTION_REFEREE, "referee", "disputed|all|none", "which rows objdump sees; disputed if not given",
             NULL},
            {CORPUS_OPTION_SHARE, "share", "N",
             "with disputed: also one row in N of the others; 16 if not given, 0 for none", NULL},
            {CORPUS_OPTION_SHARD, "shard", "I/N", "only the I-th of N parts, from 0", NULL},
            {CORPUS_OPTION_DECODER, "decoder", "NAME[:LIKE]=COMMAND",
             "another decoder, up to ten: a shell command that reads rows and writes answers; with LIKE (capstone, "
             "objdump or llvm), what is known of that decoder counts for this one, too",
             "The command finds the scripts of the data folder along PATH: llvm=llvm-mc-decoder.sh."},
            {CORPUS_OPTION_PATIENCE, "patience", "SECONDS",
             "how long a decoder may write nothing before it is ended; if not given, 30 and one for each 100 rows",
             "One that writes more lines than it was given rows is ended at once."},
            {CORPUS_OPTION_OBJDUMP, "objdump", "COMMAND", "the referee; objdump if not given", NULL},
            {CORPUS_OPTION_CLASSES, "classes", "FILE",
             "more classes of known disagreements, beside those of disagreements.txt; may be given several times",
             NULL},
            {CORPUS_OPTION_BASELINE, "baseline", "REPORT",
             "what lay outside every class in that report, made with --json, is not held against this check", NULL},
            {CORPUS_OPTION_DATA, "data", "FOLDER",
             "where aliases.txt, disagreements.txt and the shipped rows are; if not given, where they were built or "
             "installed",
             NULL},
            {CORPUS_OPTION_JSON, "json", "OUT",
             "writes the report in full to a file; - for standard output in place of the text", NULL},
            JOBS,
            {CORPUS_OPTION_SPOIL, "spoil", NULL,
             "makes answers wrong on purpose, and counts how many a class of disagreement takes", NULL},
            {0},
        },
};

const struct verb_words corpus_report_words = {
    .name = "corpus report",
    .forms =
        (const char *const[]){
            "[--html OUT] [--json OUT] [--shard I/N] [--decoder NAME[:LIKE]=COMMAND] [--patience SECONDS] "
            "[--objdump COMMAND] [--classes FILE] [--data FOLDER] [--jobs N] FILE...",
            NULL,
        },
    .summary = "asks every decoder that is installed here about each row, and says who errs, in what, and how we know",
    .options =
        (const struct option_words[]){
            {CORPUS_OPTION_HTML, "html", "OUT",
             "writes a page: decoders by kinds of errors, then each class with its evidence and, for each decoder, the "
             "shortest row, ready to be sent to its authors",
             NULL},
            {CORPUS_OPTION_JSON, "json", "OUT",
             "writes the report in full to a file; - for standard output in place of the text", NULL},
            {CORPUS_OPTION_SHARD, "shard", "I/N", "only the I-th of N parts, from 0", NULL},
            {CORPUS_OPTION_DECODER, "decoder", "NAME[:LIKE]=COMMAND",
             "a decoder beside those that are known, as for check; one by the name of a known one takes its place",
             NULL},
            {CORPUS_OPTION_PATIENCE, "patience", "SECONDS", "as for check", NULL},
            {CORPUS_OPTION_OBJDUMP, "objdump", "COMMAND", "the referee; objdump if not given", NULL},
            {CORPUS_OPTION_CLASSES, "classes", "FILE", "as for check", NULL},
            {CORPUS_OPTION_DATA, "data", "FOLDER", "as for check", NULL},
            JOBS,
            {0},
        },
};

const struct verb_words corpus_merge_words = {
    .name = "corpus merge",
    .forms = (const char *const[]){"[-o OUT] REPORT...", NULL},
    .summary = "adds the reports of shards up",
    .options =
        (const struct option_words[]){
            {CORPUS_OPTION_OUTPUT, "output", "OUT", "where the sum goes, as JSON; - for standard output", NULL},
            {0},
        },
};

const struct verb_words corpus_diff_words = {
    .name = "corpus diff",
    .forms = (const char *const[]){"REPORT REPORT", NULL},
    .summary = "shows what became different; exit status 1 if anything did",
};

const struct verb_words corpus_stat_words = {
    .name = "corpus stat",
    .forms = (const char *const[]){"[--json] FILE...", NULL},
    .summary = "counts rows by class and form, and what each engine covers",
    .options = (const struct option_words[]){{CORPUS_OPTION_JSON, "json", NULL, "as JSON", NULL}, {0}},
};

const struct verb_words corpus_words = {
    .name = "corpus",
    .forms = (const char *const[]){"build|check|report|merge|diff|stat [OPTION...] FILE...", NULL},
    .summary = "builds a corpus of instructions, and checks decoders with it",
    .operands =
        (const struct operand_words[]){
            {"FILE",
             "text, one instruction a line in hexadecimal, perhaps compressed (.xz), or an ELF file, of which all code "
             "is taken that its unwind tables cover; debian and generated stand for the shipped rows",
             "A name that is not there is looked for in the data folder, PREFIX/share/segue/corpus, with or without "
             "corpus/ before it and .hex.xz behind it. Rows of more than 22 bytes are left out, and counted."},
            {0},
        },
    .parts =
        (const struct verb_words *const[]){
            &corpus_build_words,
            &corpus_check_words,
            &corpus_report_words,
            &corpus_merge_words,
            &corpus_diff_words,
            &corpus_stat_words,
            NULL,
        },
    .closing =
        "check, report and merge end with status 1 if a row lies outside every known class of disagreement, diff if "
        "anything differs.",
};
