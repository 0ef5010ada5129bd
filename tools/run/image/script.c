/* script.c: the first line of a script. */
#include "script.h"

#include <string.h>

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

/* The first byte from `at` to `last` other than a blank; NULL if all are blanks. */
static char *skip_blanks(char *at, char *last)
{
    while (at <= last && is_blank(*at))
        at++;
    return at <= last ? at : NULL;
}

/* The first blank or zero from `at` to `last`, or NULL. */
static char *find_end(char *at, char *last)
{
    while (at <= last && *at && !is_blank(*at))
        at++;
    return at <= last ? at : NULL;
}

/* The end of the line; NULL if the interpreter's path may go on after the bytes. */
static char *find_line_end(char *head)
{
    char *last = head + SCRIPT_HEAD - 1;
    size_t length = strnlen(head, SCRIPT_HEAD);
    char *end = memchr(head, '\n', length);
    if (end)
        return end;
    char *name = skip_blanks(head + 2, last);
    return name && find_end(name, last) ? last : NULL;
}

bool script_split(char *head, char **interpreter, char **argument)
{
    if (head[0] != '#' || head[1] != '!')
        return false;
    char *end = find_line_end(head);
    if (!end)
        return false;
    while (is_blank(end[-1]))
        end--;
    char *name = skip_blanks(head + 2, end), *behind;
    if (!name || name == end || !*name)
        return false;
    *interpreter = name;
    *argument = NULL;
    behind = find_end(name, end);
    if (behind && *behind)
        *argument = skip_blanks(behind, end);
    *end = 0;
    if (*argument == end)
        *argument = NULL;
    if (*argument)
        *behind = 0;
    return true;
}
