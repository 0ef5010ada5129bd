/* tool_run.c: the command, run as a user runs it. */
#include "tool_run.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char folder[] = "/tmp/segue-patch-XXXXXX";
const char *tool, *object;
char said[1 << 16];

int run(const char *format, ...)
{
    char line[8192], command[16384];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    assert_in_range(length, 0, sizeof line - 1);
    snprintf(command, sizeof command, "cd '%s' && { %s; } 2>&1", folder, line);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t held = fread(said, 1, sizeof said - 1, pipe);
    said[held] = 0;
    while (fgetc(pipe) != EOF)
        continue;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void expect_said(const char *text)
{
    if (!strstr(said, text))
        fail_msg("'%s' is not in: %s", text, said);
}

json_t *load(const char *name)
{
    char path[512];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *json = json_load_file(path, 0, &error);
    if (!json)
        fail_msg("%s: line %d: %s", name, error.line, error.text);
    return json;
}

bool has_program(const char *name)
{
    if (run("command -v %s >/dev/null", name) == 0)
        return true;
    print_message("SKIP: %s is not installed\n", name);
    return false;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

int tool_prepare(void **state)
{
    (void)state;
    tool = getenv("SEGUE_TOOL");
    object = getenv("SEGUE_OBJECT");
    return tool && object && mkdtemp(folder) ? 0 : -1;
}

int tool_clean(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
