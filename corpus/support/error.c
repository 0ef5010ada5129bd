/* error.c: the reason why the engine failed, as a value. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct corpus_error *error, const char *what, const char *where, size_t line, const char *why,
                 va_list arguments)
{
    snprintf(error->what, sizeof error->what, "%s", what ? what : "");
    snprintf(error->where, sizeof error->where, "%s", where ? where : "");
    error->line = line;
    vsnprintf(error->why, sizeof error->why, why, arguments);
    error->has_quote = false;
    error->has_quote = false;
    error->quote[0] = 0;
}

bool corpus_error_set(struct corpus_error *error, const char *what, const char *where, const char *why, ...)
{
    va_list arguments;
    va_start(arguments, why);
    fill(error, what, where, 0, why, arguments);
    va_end(arguments);
    return false;
}

bool corpus_error_at(struct corpus_error *error, const char *where, size_t line, const char *why, ...)
{
    va_list arguments;
    va_start(arguments, why);
    fill(error, NULL, where, line, why, arguments);
    va_end(arguments);
    return false;
}

bool corpus_error_quote(struct corpus_error *error, const char *quote, size_t length)
{
    size_t room = sizeof error->quote - 1;
    error->has_quote = true;
    snprintf(error->quote, sizeof error->quote, "%.*s", (int)(length < room ? length : room), quote);
    return false;
}

bool corpus_error_system(struct corpus_error *error, const char *what, const char *where)
{
    return corpus_error_set(error, what, where, ": %s", strerror(errno));
}

bool corpus_error_memory(struct corpus_error *error)
{
    return corpus_error_set(error, NULL, NULL, "out of memory");
}

void corpus_error_text(const struct corpus_error *error, char *text, size_t size)
{
    char line[24] = "";
    if (error->line)
        snprintf(line, sizeof line, ":%zu", error->line);
    snprintf(text, size, "%s%s%s%s%s%s%s", error->what, error->where, line, error->why, error->has_quote ? ": '" : "",
             error->quote, error->has_quote ? "'" : "");
}
