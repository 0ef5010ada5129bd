/* message.c: messages go to standard error, after all that was printed before them. */
#include "message.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "verb.h"

/* Names of files and the like are quoted as they are, but for what a terminal would take for a command. */
static void print_harmless(const char *text)
{
    for (; *text; text++)
        fprintf(stderr, iscntrl((unsigned char)*text) && *text != '\n' && *text != '\t' ? "\\x%02x" : "%c",
                (unsigned char)*text);
}

static void message(const char *verb, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, verb ? "segue %s: " : "segue: ", verb);
    char *text;
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    print_harmless(text);
    free(text);
    fputc('\n', stderr);
}

void complain(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(verb, format, arguments);
    va_end(arguments);
}

int misuse(const char *verb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(verb, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try: segue help %s\n", verb ? verb : "");
    return EXIT_USAGE;
}

int misuse_of_option(const char *verb, char **arguments)
{
    if (optopt > 0 && optopt < FIRST_LONG_OPTION)
        return misuse(verb, "there is no option -%c", optopt);
    return misuse(verb, optopt ? "%s is too much: the option takes no value" : "there is no option %s",
                  arguments[optind - 1]);
}
