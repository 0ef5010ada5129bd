/* zsh.c: what zsh completes command lines by. */
#include <string.h>

#include "completions.h"

/* Within '...', and within a description, which ends at a bracket or a colon. */
static void print_quoted(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
            continue;
        }
        if (strchr("[]:\\", *text))
            putchar('\\');
        putchar(*text);
    }
}

/* How the value of an option is completed: "a|b" as one of these words, the name of something that is a file as a
 * file, and anything else not at all. */
static void print_value(const char *argument)
{
    static const char *const files[] = {"FILE", "FOLDER", "LIST", "OUT", "REPORT"};
    size_t length = strcspn(argument, "[:]");
    bool is_file = false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        is_file |= strlen(files[i]) == length && strncmp(files[i], argument, length) == 0;
    fputs(":value:", stdout);
    if (is_file) {
        fputs("_files", stdout);
    } else if (*argument >= 'a' && *argument <= 'z') {
        putchar('(');
        for (size_t i = 0; i < length; i++)
            putchar(argument[i] == '|' ? ' ' : argument[i]);
        putchar(')');
    } else {
        putchar(' ');
    }
}

/* One with a value may come again. */
static void print_option(const struct option_words *option)
{
    const char *argument = option->argument;
    fputs(" \\\n        ", stdout);
    if (option->value < FIRST_LONG_OPTION)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'", option->value, option->name, option->value, argument ? "+" : "",
               option->name, argument ? "=" : "");
    else
        printf("'%s--%s%s", argument ? "*" : "", option->name, !argument ? "" : *argument == '[' ? "=-" : "=");
    putchar('[');
    print_quoted(option->text);
    putchar(']');
    if (argument && *argument == '[')
        putchar(':');
    if (argument)
        print_value(argument + strspn(argument, "[="));
    putchar('\'');
}

static void print_case(const struct verb_words *words)
{
    printf("    '%s')\n      _arguments -s -S", words->name);
    for (const struct option_words *option = words->options; option && option->value; option++)
        print_option(option);
    printf(" \\\n        '(- *)--help[what it takes]' %s ;;\n",
           words->operand_ends_options ? "'(-)1:program:_command_names -e' '*::arguments:_normal'" : "'*:file:_files'");
    for (const struct verb_words *const *part = words->parts; part && *part; part++)
        print_case(*part);
}

/* NAME=(...), for _describe. */
static void print_list(const char *name, const struct verb_words *const *verbs, size_t prefix)
{
    printf("  %s=(", name);
    for (; *verbs; verbs++) {
        printf("\n    '%s:", (*verbs)->name + prefix);
        print_quoted((*verbs)->summary);
        putchar('\'');
    }
    puts(")");
}

void print_zsh(const struct verb_words *const *verbs)
{
    puts("#compdef segue\n# Completions of segue(1) for zsh, made from the command's own tables.\n_segue()\n{\n"
         "  local verb=$words[2]\n  local -a verbs parts");
    print_list("verbs", verbs, 0);
    puts("  if (( CURRENT == 2 )); then\n"
         "    verbs+=('help:says more about a verb')\n"
         "    _describe -t verbs verb verbs\n    return\n  fi\n"
         "  shift words\n  (( CURRENT-- ))\n  case $verb in\n"
         "    help)\n      (( CURRENT == 2 )) && _describe -t verbs verb verbs\n      return ;;");
    for (const struct verb_words *const *verb = verbs; *verb; verb++)
        if ((*verb)->parts) {
            printf("    %s)\n    ", (*verb)->name);
            print_list("parts", (*verb)->parts, strlen((*verb)->name) + 1);
            puts("      if (( CURRENT == 2 )); then\n"
                 "        _describe -t parts part parts\n        return\n      fi\n"
                 "      verb=\"$verb $words[2]\"\n      shift words\n      (( CURRENT-- )) ;;");
        }
    puts("  esac\n  case $verb in");
    for (const struct verb_words *const *verb = verbs; *verb; verb++)
        print_case(*verb);
    puts("  esac\n}\n_segue \"$@\"");
}
