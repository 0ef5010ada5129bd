/* command_line.h: what each verb of the command takes, said once. A verb's table (one file each in this folder) makes
 * the table of options that getopt_long reads, what `segue help VERB` prints, what segue(1) says of it, and the words
 * of the messages about a command line that makes no sense.
 *
 * To add an option: add its value to the verb's enum below, and its line to the verb's file; the verb's own loop over
 * command_line_next then meets the value. Nothing else has to be changed: help and manual page follow.
 * `tests/tools/command_line.sh` holds that each option of the tables is accepted, and that both name it.
 *
 *      struct command_line line;
 *      int value;
 *      command_line_begin(&line, &patch_words, argument_count, arguments);
 *      while ((value = command_line_next(&line)) != COMMAND_LINE_END)
 *          switch (value) {
 *          case PATCH_JSON: ...                              optarg has the value of an option that takes one
 *          case COMMAND_LINE_WRONG:
 *              return misuse_of_line(&line);                 (message.h) segue-run has its own way: line.problem
 *          }
 *      ... arguments[optind] is the first operand */
#ifndef SEGUE_TOOLS_COMMAND_LINE_H
#define SEGUE_TOOLS_COMMAND_LINE_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The first value for options that have no letter. */
#define FIRST_LONG_OPTION 256

struct option_words {
    /* What command_line_next returns: a letter, by which the option can be given, too, or from FIRST_LONG_OPTION on. */
    int value;
    /* Without the dashes. */
    const char *name;
    /* The word for its value: "N"; "=N" if it is shown behind an =; "[=N]" if it may be left out; NULL: it takes none.
     */
    const char *argument;
    /* A phrase or more, for help and manual page; what only the page says beside it, or NULL. Both are plain text. */
    const char *text, *more;
};

/* Two options that exclude each other, by their values, and why: a clause, or NULL if their texts say it. */
struct option_pair {
    int one, other;
    const char *why;
};

struct operand_words {
    const char *name, *text, *more;
};

/* What somebody wants, and what to type for it. */
struct example_words {
    const char *what, *command;
};

struct verb_words {
    /* "patch"; "corpus check" for a part of a verb. */
    const char *name;
    /* What may follow the name, a line each; ends with NULL. */
    const char *const *forms;
    /* One line, for the list of verbs. */
    const char *summary;
    /* The end of each is an element of zeros; either may be NULL. */
    const struct operand_words *operands;
    const struct option_words *options;
    /* Those of the options that exclude each other; the end is an element of zeros. May be NULL. */
    const struct option_pair *exclusions;
    /* What a verb can be asked to do, if that decides the options; ends with NULL. */
    const struct verb_words *const *parts;
    /* The end is an element of zeros. May be NULL. */
    const struct example_words *examples;
    /* Paragraphs that close the help, or NULL; with a blank line between them. */
    const char *closing;
    /* The first operand ends the options: the rest belongs to a program that is run. */
    bool operand_ends_options;
};

enum explain_option { EXPLAIN_COUNT = FIRST_LONG_OPTION, EXPLAIN_HOT, EXPLAIN_JSON, EXPLAIN_MODE };
enum doctor_option { DOCTOR_JSON = FIRST_LONG_OPTION, DOCTOR_PID };
enum patch_option {
    PATCH_OUTPUT = 'o',
    PATCH_DETAILS = FIRST_LONG_OPTION,
    PATCH_DRY_RUN,
    PATCH_FROM,
    PATCH_JOBS,
    PATCH_JSON,
    PATCH_LIST,
    PATCH_REVERT,
    PATCH_STRICT,
    PATCH_SYSTEM_CALLS,
    PATCH_TO,
    PATCH_VERIFY,
};
enum watch_option {
    WATCH_OUTPUT = 'o',
    WATCH_WRITE = FIRST_LONG_OPTION,
    WATCH_READ,
    WATCH_CHANGE,
    WATCH_IF,
    WATCH_THREAD,
    WATCH_COUNT,
    WATCH_FOLLOW,
    WATCH_LIMIT,
    WATCH_PID,
    WATCH_JSON,
    WATCH_BACKTRACE,
    WATCH_STOP,
    WATCH_HEAT,
};
enum run_option { RUN_STATS = FIRST_LONG_OPTION, RUN_TRACE, RUN_EAGER, RUN_LAZY, RUN_NO_FOLLOW, RUN_SYSCALLS };
enum corpus_option {
    CORPUS_OPTION_OUTPUT = 'o',
    CORPUS_OPTION_ALL = FIRST_LONG_OPTION,
    CORPUS_OPTION_BASELINE,
    CORPUS_OPTION_CLASSES,
    CORPUS_OPTION_DATA,
    CORPUS_OPTION_DECODER,
    CORPUS_OPTION_GENERATE,
    CORPUS_OPTION_HTML,
    CORPUS_OPTION_JOBS,
    CORPUS_OPTION_JSON,
    CORPUS_OPTION_OBJDUMP,
    CORPUS_OPTION_PATIENCE,
    CORPUS_OPTION_PER_FORM,
    CORPUS_OPTION_REFEREE,
    CORPUS_OPTION_SHARD,
    CORPUS_OPTION_SHARE,
    CORPUS_OPTION_SPOIL,
};

extern const struct verb_words explain_words, doctor_words, demo_words, patch_words, run_words, watch_words,
    corpus_words;
/* The parts of corpus. */
extern const struct verb_words corpus_build_words, corpus_check_words, corpus_stat_words, corpus_diff_words,
    corpus_merge_words, corpus_report_words;

/* ---- reading: read.c ---- */

#define COMMAND_LINE_OPTIONS 32

struct command_line {
    const struct verb_words *words;
    int argument_count;
    char **arguments;
    /* After COMMAND_LINE_WRONG: what is wrong, to stand after "segue VERB: ". */
    char problem[256];
    /* Which of the verb's options were met, by their place in its table. */
    uint64_t met;
    struct option long_options[COMMAND_LINE_OPTIONS + 1];
    char letters[2 * COMMAND_LINE_OPTIONS + 4];
};

enum { COMMAND_LINE_END = -1, COMMAND_LINE_WRONG = 0 };

/* `arguments[0]` is the verb's own name. */
void command_line_begin(struct command_line *line, const struct verb_words *words, int argument_count,
                        char **arguments);

/* The next option's value, with `optarg`; COMMAND_LINE_END, and `optind` is the first operand; or COMMAND_LINE_WRONG.
 */
int command_line_next(struct command_line *line);

/* Of the pairs that hold the option `value`, the first whose other option was met before; NULL if no pair does. The
 * option is met then. `met` is zero at first. Calls no library: exclude.c, that segue-run has, too. */
const struct option_pair *command_line_exclusion(const struct verb_words *words, int value, uint64_t *met);

/* The name of an option, without the dashes. */
const char *command_line_option_name(const struct verb_words *words, int value);

/* Of `count` names the one that `wrong` is most likely a slip for; NULL if none is near. */
const char *suggest(const char *wrong, const char *const *names, size_t count);

/* ---- help.c ---- */

/* What `segue help VERB` prints. */
void help_print(FILE *out, const struct verb_words *words);

#endif
