/* loaded.c TIMES LIBRARY...: loads each library, lets it change `counter`, and unloads it again, so many times; ends at
 * once. With -1 it deletes the library's file. Prints whether two libraries in a row were at the same address.
 *
 * loaded.c child FIRST SECOND: a child made by fork uses the first library, which it has from its parent, and the
 * second one in its place; then the parent uses the first one. loaded.c parent FIRST SECOND: the parent uses the second
 * one in place of the first, then the child the first. They print whether both were at the same address.
 *
 * loaded.c deleted LIBRARY REPORT: deletes the file of a library that it has loaded, uses it, and ends once there is
 * something in the report. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static long counter;

static void touch(void *library)
{
    ((void (*)(long *))dlsym(library, "touch"))(&counter);
}

static unsigned long address_of(void *library)
{
    return ((struct link_map *)library)->l_addr;
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        exit(1);
    return library;
}

/* Returns where it was loaded. */
static unsigned long use(const char *path)
{
    void *library = load(path);
    const unsigned long at = address_of(library);
    touch(library);
    dlclose(library);
    return at;
}

/* In place of another library: whether it was at the same address. */
static int use_in_place(void *library, const char *path)
{
    const unsigned long at = address_of(library);
    dlclose(library);
    return use(path) == at;
}

static int use_in_child(const char *first, const char *second)
{
    void *library = load(first);
    int status;
    const pid_t child = fork();
    if (child == 0) {
        touch(library);
        _exit(use_in_place(library, second));
    }
    waitpid(child, &status, 0);
    touch(library);
    return WIFEXITED(status) && WEXITSTATUS(status);
}

static int use_in_parent(const char *first, const char *second)
{
    void *library = load(first);
    int ends[2], same;
    char none;
    if (pipe(ends) != 0)
        exit(1);
    if (fork() == 0) {
        close(ends[1]);
        if (read(ends[0], &none, 1) == 0)
            touch(library);
        _exit(0);
    }
    same = use_in_place(library, second);
    close(ends[1]);
    wait(NULL);
    return same;
}

static int use_deleted(const char *path, const char *report)
{
    struct stat status;
    void *library = load(path);
    unlink(path);
    touch(library);
    for (int i = 0; i < 3000 && (stat(report, &status) != 0 || !status.st_size); i++)
        usleep(10000);
    return 0;
}

static int use_by_turns(int times, char **paths)
{
    const int deletes = times < 0;
    unsigned long last = 0;
    int same = 0;
    for (times = abs(times); times > 0; times--)
        for (int i = 0; paths[i]; i++) {
            const unsigned long at = use(paths[i]);
            same |= paths[1] && at == last;
            last = at;
            if (deletes)
                unlink(paths[i]);
        }
    return same;
}

int main(int count, char **arguments)
{
    const char *how = arguments[1];
    int same;
    if (count < 3)
        return 1;
    if (strcmp(how, "child") == 0)
        same = use_in_child(arguments[2], arguments[3]);
    else if (strcmp(how, "parent") == 0)
        same = use_in_parent(arguments[2], arguments[3]);
    else if (strcmp(how, "deleted") == 0)
        same = use_deleted(arguments[2], arguments[3]);
    else
        same = use_by_turns(atoi(how), arguments + 2);
    puts(same ? "same" : "apart");
    return 0;
}
