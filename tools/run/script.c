/* script.c: the first line of a script. */
#include "script.h"

#include <string.h>

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

bool script_split(char *head, char **interpreter, char **argument)
{
    if (head[0] != '#' || head[1] != '!')
        return false;
    char *at = head + 2, *end = at + strcspn(at, "\n");
    while (end > at && is_blank(end[-1]))
        end--;
    *end = 0;
    at += strspn(at, " \t");
    char *behind = at + strcspn(at, " \t"), *rest = behind + strspn(behind, " \t");
    *behind = 0;
    *interpreter = at;
    *argument = *rest ? rest : NULL;
    return *at;
}
