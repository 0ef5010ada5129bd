/* help.c: prints what a verb takes, from its table. */
#include <string.h>

#include "command_line.h"

#define WIDTH 100
#define NAMES_WIDEST 24

/* Prints words, the first of them at `column`, where the line stands; further lines begin at `indent`. */
static void print_wrapped(FILE *out, const char *text, size_t indent, size_t column)
{
    for (bool is_first = true; *text; is_first = false) {
        size_t length = strcspn(text, " ");
        if (!is_first && column + 1 + length > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, length, out);
        column += length;
        text += length + strspn(text + length, " ");
    }
    fputc('\n', out);
}

static size_t option_name(char *to, size_t size, const struct option_words *option)
{
    const char *argument = option->argument ? option->argument : "";
    char letter[8] = "";
    if (option->value < FIRST_LONG_OPTION)
        snprintf(letter, sizeof letter, "-%c, ", option->value);
    return (size_t)snprintf(to, size, "%s--%s%s%s", letter, option->name,
                            *argument && !strchr("=[", *argument) ? " " : "", argument);
}

static size_t widest(const struct verb_words *words, size_t most)
{
    char name[128];
    for (const struct operand_words *operand = words->operands; operand && operand->name; operand++)
        if (strlen(operand->name) > most && strlen(operand->name) <= NAMES_WIDEST)
            most = strlen(operand->name);
    for (const struct option_words *option = words->options; option && option->value; option++) {
        size_t length = option_name(name, sizeof name, option);
        if (length > most && length <= NAMES_WIDEST)
            most = length;
    }
    return most;
}

static void print_item(FILE *out, const char *name, const char *text, size_t width)
{
    size_t length = strlen(name);
    fprintf(out, "  %s", name);
    if (length > width)
        fputc('\n', out);
    fprintf(out, "%*s", (int)(length > width ? width + 4 : width + 2 - length), "");
    print_wrapped(out, text, width + 4, width + 4);
}

static void print_items(FILE *out, const struct verb_words *words, size_t width)
{
    char name[128];
    for (const struct operand_words *operand = words->operands; operand && operand->name; operand++)
        print_item(out, operand->name, operand->text, width);
    if (words->operands && words->operands->name && words->options && words->options->value)
        fputc('\n', out);
    for (const struct option_words *option = words->options; option && option->value; option++) {
        option_name(name, sizeof name, option);
        print_item(out, name, option->text, width);
    }
}

static void print_usage(FILE *out, const char *before, const struct verb_words *words)
{
    for (const char *const *form = words->forms; *form; form++) {
        int column = fprintf(out, "%*ssegue %s ", (int)strlen(before), form == words->forms ? before : "", words->name);
        print_wrapped(out, *form, strlen(before) + strlen("segue "), (size_t)column);
    }
}

static void print_paragraphs(FILE *out, const char *text)
{
    for (const char *end; text && *text; text = *end ? end + 2 : end) {
        char paragraph[1024];
        end = strstr(text, "\n\n");
        end = end ? end : text + strlen(text);
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)(end - text), text);
        fputc('\n', out);
        print_wrapped(out, paragraph, 0, 0);
    }
}

void help_print(FILE *out, const struct verb_words *words)
{
    size_t width = widest(words, 8);
    print_usage(out, "usage: ", words);
    fprintf(out, "\n");
    print_wrapped(out, words->summary, 0, 0);
    if (words->operands || words->options)
        fputc('\n', out);
    for (const struct verb_words *const *part = words->parts; part && *part; part++)
        width = widest(*part, width);
    print_items(out, words, width);
    for (const struct verb_words *const *part = words->parts; part && *part; part++) {
        fputc('\n', out);
        print_usage(out, "", *part);
        fprintf(out, "  ");
        print_wrapped(out, (*part)->summary, 2, 2);
        print_items(out, *part, width);
    }
    for (const struct example_words *example = words->examples; example && example->what; example++)
        fprintf(out, "%s%s\n  %s\n", example == words->examples ? "\n" : "", example->what, example->command);
    print_paragraphs(out, words->closing);
}
