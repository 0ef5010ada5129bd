/* demo.c: segue demo. Runs one of the example programs in the command's place. */
#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/support/message.h"
#include "tools/support/verb.h"

#define VERB "demo"

static const struct demo {
    const char *name;
    const char *program;
    const char *summary;
} demos[] = {
    {"weak-table", "weak_table",
     "A collector resolves the slots of a weak hash table one by one, as a mutator looks them up: in a fault, and at "
     "hot sites; beside it the way of a collector that must open whole pages."},
    {"lua", "lua_heap",
     "Lua runs a program with its whole heap protected, stepped and at hot sites; its output is that of an unprotected "
     "run."},
    {"sqlite", "sqlite_heap",
     "SQLite fills, joins and aggregates a database with its whole heap protected; its answers are those of an "
     "unprotected run."},
    {"python", "python_heap",
     "CPython runs a program with all its arenas protected; what it returns is what it returns in an unprotected run."},
};

#define DEMO_COUNT (sizeof demos / sizeof *demos)

static int list_demos(void)
{
    for (size_t i = 0; i < DEMO_COUNT; i++)
        printf("%-12s %s\n", demos[i].name, demos[i].summary);
    return EXIT_DONE;
}

static const struct demo *find_demo(const char *name)
{
    for (size_t i = 0; i < DEMO_COUNT; i++)
        if (strcmp(demos[i].name, name) == 0)
            return &demos[i];
    return NULL;
}

/* "FOLDER/NAME"; to be freed. */
static char *path_in(const char *folder, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    return path;
}

/* The folder of the example programs in the build tree of this command; to be freed. */
static char *examples_of_build(void)
{
    char *self = realpath("/proc/self/exe", NULL);
    if (!self)
        return NULL;
    char *folder = path_in(dirname(self), "../examples");
    free(self);
    return folder;
}

/* The path of the program if it can be run, to be freed; else NULL, and a message lists the paths that were tried. */
static char *find_program(const struct demo *demo)
{
    char *build = examples_of_build();
    const char *const folders[] = {build, SEGUE_DEMO_FOLDER};
    char *path = NULL;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !path; i++) {
        if (!folders[i])
            continue;
        path = path_in(folders[i], demo->program);
        if (access(path, X_OK) != 0) {
            free(path);
            path = NULL;
        }
    }
    if (!path)
        complain(VERB,
                 "the program of %s, %s, is neither in %s nor in %s; build it (meson's option `examples`), or install "
                 "Segue",
                 demo->name, demo->program, build ? build : "the build tree", SEGUE_DEMO_FOLDER);
    free(build);
    return path;
}

static int run_demo(int argument_count, char **arguments)
{
    if (argument_count < 2)
        return list_demos();
    const struct demo *demo = find_demo(arguments[1]);
    if (!demo) {
        const char *names[DEMO_COUNT];
        for (size_t i = 0; i < DEMO_COUNT; i++)
            names[i] = demos[i].name;
        const char *near = suggest(arguments[1], names, DEMO_COUNT);
        return misuse(
            VERB, near ? "there is no demo '%s'; did you mean %s?" : "there is no demo '%s'; `segue demo` lists them",
            arguments[1], near);
    }
    char *path = find_program(demo);
    if (!path)
        return EXIT_FAILED;
    arguments[1] = path;
    execv(path, arguments + 1);
    complain(VERB, "cannot run %s: %s", path, strerror(errno));
    free(path);
    return EXIT_FAILED;
}

const struct verb demo_verb = {&demo_words, run_demo};
