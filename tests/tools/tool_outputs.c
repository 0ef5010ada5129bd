/* tool_outputs.c: see tool_outputs.h. */
#include "tool_outputs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

const char *variable(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        fail_msg("the environment lacks %s; run by way of meson test", name);
    return value;
}

static int new_file(void)
{
    int file = memfd_create("output", 0);
    assert_true(file >= 0);
    return file;
}

static void read_all(int file, char *text, size_t size)
{
    ssize_t length = pread(file, text, size - 1, 0);
    assert_true(length >= 0);
    text[length] = 0;
    close(file);
}

void run_list(struct run *run, const char *tool, const char *const *arguments)
{
    int out = new_file(), err = new_file(), status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(tool, (char *const *)arguments);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    run->code = WEXITSTATUS(status);
    read_all(out, run->out, sizeof run->out);
    read_all(err, run->err, sizeof run->err);
}

void expect(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("this:\n%slacks this: %s", text, part);
}

json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    if (!json)
        fail_msg("line %d: %s in:\n%s", error.line, error.text, text);
    return json;
}

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        fail_msg("%s is no string", key);
    return text;
}
