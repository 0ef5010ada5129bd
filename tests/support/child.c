/* child.c: runs one case of a test program in a fresh process of the same program. */
#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "times.h"

void child_main(int argc, char **argv, const struct child_case *cases, size_t count)
{
    if (argc != 3 || strcmp(argv[1], "--child") != 0)
        return;
    /* A crash is wanted here; its core is not. A hang ends by itself. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(60 * test_times());
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cases[i].name, argv[2]) != 0)
            continue;
        int status = cases[i].run();
        fflush(stdout);
        _exit(status);
    }
    fprintf(stderr, "no case named %s\n", argv[2]);
    _exit(97);
}

struct child_result child_run(const char *name)
{
    struct child_result result = {.status = -1};
    int ends[2];
    if (pipe(ends) != 0)
        return result;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "test", "--child", name, (char *)NULL);
        _exit(98);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while (length < sizeof result.output - 1 &&
           (got = read(ends[0], result.output + length, sizeof result.output - 1 - length)) > 0)
        length += (size_t)got;
    result.output[length] = 0;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status))
        result.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status))
        result.signal = WTERMSIG(status);
    return result;
}
