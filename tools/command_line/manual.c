/* manual.c: fills the tables of the verbs into a manual page, at build time: manual <segue.1.scd.in >segue.1.scd; or
 * makes of them what bash completes command lines by: manual --bash >segue.
 *
 * A line `%synopsis`, `%operands VERB`, `%options VERB` or `%closing VERB` of what is read stands for what the tables
 * say, in scdoc's language. Everything else is copied. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "command_line.h"

static const struct verb_words *const pages[] = {&explain_words, &doctor_words, &demo_words,
                                                 &patch_words,   &corpus_words, &run_words};

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
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
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
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(pages[i]->name, name) == 0)
            return pages[i];
    fprintf(stderr, "manual: there is no verb '%s'\n", name);
    exit(1);
}

/* A case for each verb and each part of one, with its options. */
static void print_completions(const struct verb_words *words)
{
    printf("    '%s') options='", words->name);
    for (const struct option_words *option = words->options; option && option->value; option++)
        printf("--%s%s", option->name, option[1].value ? " " : "");
    puts("' ;;");
    for (const struct verb_words *const *part = words->parts; part && *part; part++)
        print_completions(*part);
}

static void print_bash(void)
{
    puts("# Completions of segue(1) for bash, made from the command's own tables.\n_segue()\n{\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options='' parts='' i");
    fputs("  local verbs='help", stdout);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        printf(" %s", pages[i]->name);
    puts("'\n  COMPREPLY=()");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (!pages[i]->parts)
            continue;
        printf("  [[ $verb == %s ]] && parts='", pages[i]->name);
        for (const struct verb_words *const *part = pages[i]->parts; *part; part++)
            printf("%s%s", (*part)->name + strlen(pages[i]->name) + 1, part[1] ? " " : "");
        puts("'");
    }
    puts("  if ((COMP_CWORD == 1)); then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$verbs --help --version\" -- \"$word\")\n    return\n  fi\n"
         "  if ((COMP_CWORD == 2)) && [[ $verb == help ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$word\")\n    return\n  fi\n"
         "  if ((COMP_CWORD == 2)) && [[ $parts ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$parts\" -- \"$word\")\n    return\n  fi\n"
         "  [[ $word == -* ]] || return\n  [[ $parts ]] && verb=\"$verb ${COMP_WORDS[2]}\"\n  case $verb in");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        print_completions(pages[i]);
    puts("  esac\n"
         "  # What follows the program belongs to it.\n"
         "  if [[ $verb == run ]]; then\n"
         "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
         "      [[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] || return\n"
         "    done\n"
         "  fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$options --help\" -- \"$word\")\n}\n"
         "complete -o default -o bashdefault -F _segue segue");
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 2 && strcmp(arguments[1], "--bash") == 0) {
        print_bash();
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
