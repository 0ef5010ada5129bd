/* message.c: messages go to standard error, after all that was printed before them. */
#include "message.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verb.h"

/* Names of files and the like are quoted as they are, but for what a terminal would take for a command. */
static void put_harmless(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, iscntrl((unsigned char)*text) && *text != '\n' && *text != '\t' ? "\\x%02x" : "%c",
                (unsigned char)*text);
}

/* By one call of the kernel, so that the messages of several threads and processes do not mix. */
static void write_whole(const char *text, size_t length)
{
    fflush(stdout);
    while (length) {
        ssize_t done = write(STDERR_FILENO, text, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

static atomic_bool bar_stands;

void message_bar_stands(bool stands)
{
    bar_stands = stands;
}

/* `hint`: whether to say where help is to be found. */
static void message(const char *verb, bool hint, const char *format, va_list arguments)
{
    char *text, *whole;
    size_t length;
    FILE *out = open_memstream(&whole, &length);
    if (!out || vasprintf(&text, format, arguments) < 0)
        abort();
    if (atomic_exchange(&bar_stands, false))
        fputs("\r\033[K", out);
    fprintf(out, verb ? "segue %s: " : "segue: ", verb);
    put_harmless(out, text);
    fputc('\n', out);
    if (hint)
        fprintf(out, "Try: segue help%s%.*s\n", verb ? " " : "", verb ? (int)strcspn(verb, " ") : 0, verb ? verb : "");
    fclose(out);
    write_whole(whole, length);
    free(text);
    free(whole);
}

void complain(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(verb, false, format, arguments);
    va_end(arguments);
}

void complain_once(const char *verb, const char *format, ...)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    va_list arguments;
    if (atomic_flag_test_and_set(&said))
        return;
    va_start(arguments, format);
    message(verb, false, format, arguments);
    va_end(arguments);
}

int misuse(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(verb, true, format, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

int misuse_of_line(const struct command_line *line)
{
    return misuse(line->words->name, "%s", line->problem);
}
