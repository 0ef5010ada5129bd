/* child.c: runs a command with its output in a pipe. */
#include "child.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/bench.h"

extern char **environ;

static double nanoseconds_of(const struct timeval *time)
{
    return (double)time->tv_sec * 1e9 + (double)time->tv_usec * 1e3;
}

static pid_t start(const struct child *child, int *from)
{
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        bench_fail("no pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (posix_spawnp(&pid, child->words[0], &actions, NULL, (char **)(uintptr_t)child->words, environ) != 0)
        bench_fail("cannot run %s", child->words[0]);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *from = ends[0];
    return pid;
}

static void run(struct child *child)
{
    struct rusage used;
    size_t held = 0;
    ssize_t got;
    int from, status;
    pid_t pid = start(child, &from);
    while ((got = read(from, child->output + held, CHILD_OUTPUT - 1 - held)) > 0)
        held += (size_t)got;
    child->output[held] = 0;
    close(from);
    if (wait4(pid, &status, 0, &used) != pid || status != 0)
        bench_fail("%s ended with status %#x, after:\n%s", child->words[0], (unsigned)status, child->output);
    child->cpu = nanoseconds_of(&used.ru_utime) + nanoseconds_of(&used.ru_stime);
    child->runs++;
}

bool child_is_there(const struct child *child)
{
    char command[4096];
    snprintf(command, sizeof command, "command -v '%s' >/dev/null 2>&1", child->words[0]);
    return system(command) == 0;
}

static void take(struct child_figure *figure)
{
    if (figure->run == figure->child->runs)
        run(figure->child);
    figure->run = figure->child->runs;
}

/* Behind the word, which stands alone in the text's first line; NULL if it is not there. */
static const char *find_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; *at && *at != '\n'; at += strcspn(at, " \n") + (at[strcspn(at, " \n")] == ' '))
        if (strncmp(at, word, length) == 0 && at[length] == ' ')
            return at + length;
    return NULL;
}

double child_read(const struct child_figure *figure)
{
    const char *at = figure->child->output, *found = NULL;
    for (; at && !found; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, figure->line, strlen(figure->line)) == 0 && at[strlen(figure->line)] == ' ')
            found = find_word(at, figure->field ? figure->field : figure->line);
    for (unsigned i = 0; found && i < figure->index; i++) {
        found += strspn(found, " ");
        found += strcspn(found, " \n");
    }
    if (!found)
        bench_fail("%s does not print %s of %s:\n%s", figure->child->words[0], figure->field, figure->line,
                   figure->child->output);
    return strtod(found, NULL);
}

double child_take(struct child_figure *figure)
{
    take(figure);
    return child_read(figure);
}

double child_take_cpu(struct child_figure *figure)
{
    take(figure);
    return figure->child->cpu;
}
