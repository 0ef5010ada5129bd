/* message.c: messages go to standard error, after all that was printed before them (message_out.h). */
#include "message.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message_out.h"
#include "quote.h"
#include "verb.h"

void print_name(FILE *to, const char *name)
{
    char piece[QUOTE_PIECE];
    if (!quote_is_needed(name)) {
        fputs(name, to);
        return;
    }
    fputs(QUOTE_BEGIN, to);
    while (*name) {
        size_t size = quote_next(&name, piece);
        fwrite(piece, 1, size, to);
    }
    fputs(QUOTE_END, to);
}

/* A directive of a format: where it ends, its conversion, and the length that the conversion is given. */
struct directive {
    char text[16], conversion, length;
};

static const char *read_directive(const char *format, struct directive *directive)
{
    size_t size = 1 + strspn(format + 1, "-+ #0123456789.*");
    size_t length = strspn(format + size, "hljz");
    directive->length = length ? format[size] : 0;
    size += length;
    directive->conversion = format[size++];
    if (size >= sizeof directive->text)
        abort();
    memcpy(directive->text, format, size);
    directive->text[size] = 0;
    return format + size;
}

/* A text, of which a precision may take a part. */
static void put_text(FILE *out, const struct directive *directive, va_list *arguments)
{
    int most = strcmp(directive->text, "%.*s") == 0 ? va_arg(*arguments, int) : -1;
    if (most < 0 && strcmp(directive->text, "%s") != 0)
        abort();
    const char *text = va_arg(*arguments, const char *);
    if (!text)
        text = "(null)";
    size_t length = most < 0 ? strlen(text) : strnlen(text, (size_t)most);
    char *part = malloc(length + 1);
    if (!part)
        abort();
    memcpy(part, text, length);
    part[length] = 0;
    print_name(out, part);
    free(part);
}

static void put_integer(FILE *out, const struct directive *directive, va_list *arguments)
{
    _Static_assert(sizeof(long long) == sizeof(intmax_t), "both are read as one type");
    switch (directive->length) {
    case 'l':
        if (strstr(directive->text, "ll"))
            fprintf(out, directive->text, va_arg(*arguments, long long));
        else
            fprintf(out, directive->text, va_arg(*arguments, long));
        break;
    case 'j':
        fprintf(out, directive->text, va_arg(*arguments, intmax_t));
        break;
    case 'z':
        fprintf(out, directive->text, va_arg(*arguments, size_t));
        break;
    default:
        fprintf(out, directive->text, va_arg(*arguments, int));
    }
}

/* As vfprintf, but that each text is quoted which a name could have brought line breaks or commands into. */
static void put_message(FILE *out, const char *format, va_list *arguments)
{
    while (*format) {
        size_t plain = strcspn(format, "%");
        fwrite(format, 1, plain, out);
        format += plain;
        struct directive directive;
        if (!*format)
            return;
        format = read_directive(format, &directive);
        switch (directive.conversion) {
        case '%':
            fputc('%', out);
            break;
        case 's':
            put_text(out, &directive, arguments);
            break;
        case 'f':
            fprintf(out, directive.text, va_arg(*arguments, double));
            break;
        case 'd':
        case 'u':
        case 'x':
            put_integer(out, &directive, arguments);
            break;
        default:
            abort();
        }
    }
}

static atomic_bool bar_stands;

void message_bar_stands(bool stands)
{
    bar_stands = stands;
}

/* `hint`: whether to say where help is to be found. */
static void message(const char *verb, bool hint, const char *format, va_list *arguments)
{
    struct message_out whole;
    FILE *out = message_open(&whole);
    if (atomic_exchange(&bar_stands, false))
        fputs("\r\033[K", out);
    fprintf(out, verb ? "segue %s: " : "segue: ", verb);
    put_message(out, format, arguments);
    fputc('\n', out);
    if (hint)
        fprintf(out, "Try: segue help%s%.*s\n", verb ? " " : "", verb ? (int)strcspn(verb, " ") : 0, verb ? verb : "");
    message_close(&whole);
}

void complain(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(verb, false, format, &arguments);
    va_end(arguments);
}

void complain_once(const char *verb, const char *format, ...)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    va_list arguments;
    if (atomic_flag_test_and_set(&said))
        return;
    va_start(arguments, format);
    message(verb, false, format, &arguments);
    va_end(arguments);
}

int misuse(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(verb, true, format, &arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

int misuse_of_line(const struct command_line *line)
{
    return misuse(line->words->name, "%s", line->problem);
}
