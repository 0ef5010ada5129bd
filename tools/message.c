/* message.c: messages go to standard error, after all that was printed before them. */
#include "message.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "verb.h"

static void message(const char *verb, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, verb ? "segue %s: " : "segue: ", verb);
    vfprintf(stderr, format, arguments);
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
