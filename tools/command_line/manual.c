/* manual.c: fills the tables of the verbs into a manual page, at build time: manual <segue.1.scd.in >segue.1.scd; or
 * makes of them what shells complete command lines by: manual --bash >segue, manual --zsh >_segue; or the page of one
 * verb: manual --page patch >segue-patch.1.scd.
 *
 * A line `%synopsis`, `%operands VERB`, `%options VERB` or `%closing VERB` of what is read stands for what the tables
 * say, in scdoc's language. Everything else is copied. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "command_line.h"
#include "completions.h"

static const struct verb_words *const pages[] = {
    &explain_words, &doctor_words, &demo_words, &patch_words, &corpus_words, &run_words, &watch_words, NULL,
};

/* What scdoc would take for its own is quoted. */
static void print_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (strchr("_*\\~", text[i]))
            putchar('\\');
        putchar(text[i]);
    }
}

/* A usage line: what is to be typed as it is stands in bold, what stands for something else is underlined. */
static void print_form(const char *form)
{
    while (*form) {
        size_t literal = strspn(form, "abcdefghijklmnopqrstuvwxyz-0123456789");
        size_t place = *form == '+' ? 0 : strspn(form, "ABCDEFGHIJKLMNOPQRSTUVWXYZ:+");
        size_t length = literal ? literal : place ? place : 1;
        const char *mark = literal ? "*" : place ? "_" : "";
        fputs(mark, stdout);
        print_plain(form, length);
        fputs(mark, stdout);
        form += length;
    }
}

static void print_synopsis(void)
{
    for (size_t i = 0; pages[i]; i++) {
        const struct verb_words *const alone[] = {pages[i], NULL};
        const struct verb_words *const *all = pages[i]->parts ? pages[i]->parts : alone;
        for (; *all; all++)
            for (const char *const *form = (*all)->forms; *form; form++) {
                printf("*segue %s* ", (*all)->name);
                print_form(*form);
                fputs("\n\n", stdout);
            }
    }
}

static void print_body(const char *text, const char *more)
{
    fputs("\t", stdout);
    putchar(toupper((unsigned char)*text));
    print_plain(text + 1, strlen(text + 1));
    putchar('.');
    if (more) {
        putchar(' ');
        print_plain(more, strlen(more));
    }
    fputs("\n\n", stdout);
}

static void print_operands(const struct verb_words *words)
{
    for (const struct operand_words *operand = words->operands; operand && operand->name; operand++) {
        print_form(operand->name);
        putchar('\n');
        print_body(operand->text, operand->more);
    }
}

static void print_options(const struct verb_words *words)
{
    for (const struct option_words *option = words->options; option && option->value; option++) {
        const char *argument = option->argument ? option->argument : "";
        if (option->value < FIRST_LONG_OPTION)
            printf("*-%c*, ", option->value);
        printf("*--%s*%s", option->name, *argument && !strchr("=[", *argument) ? " " : "");
        print_form(argument);
        putchar('\n');
        print_body(option->text, option->more);
    }
    for (const struct verb_words *const *part = words->parts; part && *part; part++) {
        printf("## segue %s\n\n", (*part)->name);
        putchar(toupper((unsigned char)*(*part)->summary));
        print_plain((*part)->summary + 1, strlen((*part)->summary + 1));
        fputs(".\n\n", stdout);
        print_operands(*part);
        print_options(*part);
    }
}

static void print_closing(const struct verb_words *words)
{
    if (words->closing)
        print_plain(words->closing, strlen(words->closing));
    fputs("\n\n", stdout);
}

static const struct verb_words *find(const char *name)
{
    for (size_t i = 0; pages[i]; i++)
        if (strcmp(pages[i]->name, name) == 0)
            return pages[i];
    fprintf(stderr, "manual: there is no verb '%s'\n", name);
    exit(1);
}

static void print_forms(const struct verb_words *words)
{
    for (const char *const *form = words->forms; *form; form++) {
        printf("*segue %s* ", words->name);
        print_form(*form);
        fputs("\n\n", stdout);
    }
    for (const struct verb_words *const *part = words->parts; part && *part; part++)
        print_forms(*part);
}

/* The page of one verb: what `segue help VERB` prints, and what only the tables say. */
static void print_page(const struct verb_words *words)
{
    printf("segue-%s(1)\n\n# NAME\n\nsegue-%s - ", words->name, words->name);
    print_plain(words->summary, strlen(words->summary));
    fputs("\n\n# SYNOPSIS\n\n", stdout);
    print_forms(words);
    fputs("# DESCRIPTION\n\n", stdout);
    printf("*segue %s* ", words->name);
    print_plain(words->summary, strlen(words->summary));
    fputs(". *segue*(1), section ", stdout);
    for (const char *letter = words->name; *letter; letter++)
        putchar(toupper((unsigned char)*letter));
    fputs(", says how.\n\n", stdout);
    if (words->operands)
        print_operands(words);
    if (words->options || words->parts) {
        fputs("# OPTIONS\n\n", stdout);
        print_options(words);
    }
    if (words->examples)
        fputs("# EXAMPLES\n\n", stdout);
    for (const struct example_words *example = words->examples; example && example->what; example++) {
        print_plain(example->what, strlen(example->what));
        fputs("\n\n\t", stdout);
        print_plain(example->command, strlen(example->command));
        fputs("\n\n", stdout);
    }
    if (words->closing) {
        fputs("# NOTES\n\n", stdout);
        print_closing(words);
    }
    fputs("# SEE ALSO\n\n*segue*(1)", stdout);
    for (size_t i = 0; pages[i]; i++)
        if (pages[i] != words)
            printf(", *segue-%s*(1)", pages[i]->name);
    putchar('\n');
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 2 && strcmp(arguments[1], "--bash") == 0) {
        print_bash(pages);
        return fflush(stdout) != 0;
    }
    if (argument_count == 2 && strcmp(arguments[1], "--zsh") == 0) {
        print_zsh(pages);
        return fflush(stdout) != 0;
    }
    if (argument_count == 3 && strcmp(arguments[1], "--page") == 0) {
        print_page(find(arguments[2]));
        return fflush(stdout) != 0;
    }
    static const struct {
        const char *name;
        void (*print)(const struct verb_words *words);
    } fillings[] = {{"%operands ", print_operands}, {"%options ", print_options}, {"%closing ", print_closing}};
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        if (*line != '%') {
            fputs(line, stdout);
            continue;
        }
        line[strcspn(line, "\n")] = 0;
        size_t i = 0;
        while (i < 3 && strncmp(line, fillings[i].name, strlen(fillings[i].name)) != 0)
            i++;
        if (i < 3) {
            fillings[i].print(find(line + strlen(fillings[i].name)));
        } else if (strcmp(line, "%synopsis") == 0) {
            print_synopsis();
        } else {
            fprintf(stderr, "manual: what is '%s'?\n", line);
            return 1;
        }
    }
    return fflush(stdout) != 0;
}
