/* verb.c: segue run. Hands over to segue-run, which takes the place of this process, and the program that of segue-run.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/command_line/command_line.h"
#include "tools/support/message.h"
#include "tools/support/verb.h"

#define VERB "run"
#define PROGRAM "segue-run"
/* As of env(1): the runner itself failed. */
#define EXIT_RUNNER 125

/* "FOLDER/segue-run"; to be freed. */
static char *path_in(const char *folder)
{
    char *path;
    if (asprintf(&path, "%s/" PROGRAM, folder) < 0)
        abort();
    return path;
}

/* Beside this command in a build tree; else where it is installed. To be freed. */
static char *find_program(void)
{
    char *self = realpath("/proc/self/exe", NULL), *path = self ? path_in(dirname(self)) : NULL;
    free(self);
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return path_in(SEGUE_DEMO_FOLDER);
}

static int run_program(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        misuse(VERB, "there is no program to run");
        return EXIT_RUNNER;
    }
    struct command_line line;
    int value;
    command_line_begin(&line, &run_words, argument_count, arguments);
    while ((value = command_line_next(&line)) != COMMAND_LINE_END) {
        if (value == COMMAND_LINE_WRONG) {
            misuse_of_line(&line);
            return EXIT_RUNNER;
        }
    }
    char *path = find_program();
    arguments[0] = PROGRAM;
    execv(path, arguments);
    complain(VERB, "cannot run %s: %s", path, strerror(errno));
    free(path);
    return EXIT_RUNNER;
}

const struct verb run_verb = {&run_words, run_program};
