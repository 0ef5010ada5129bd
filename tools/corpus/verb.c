/* verb.c: `segue corpus`: hands on to what it is told to do. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verbs.h"
#include "tools/support/message.h"
#include "tools/support/output.h"
#include "tools/support/verb.h"

static const struct {
    const char *name;
    int (*run)(int argument_count, char **arguments);
} verbs[] = {
    {"build", corpus_verb_build}, {"check", corpus_verb_check}, {"stat", corpus_verb_stat},
    {"diff", corpus_verb_diff},   {"merge", corpus_verb_merge},
};

bool corpus_number(const char *option, const char *text, unsigned low, unsigned high, unsigned *value)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || errno || number < low || number > high) {
        misuse("corpus", "%s takes a number from %u to %u, not '%s'", option, low, high, text);
        return false;
    }
    *value = (unsigned)number;
    return true;
}

bool corpus_may_write(const char *path, char *const *inputs)
{
    for (; *inputs; inputs++) {
        if (!output_is_same(path, *inputs))
            continue;
        complain("corpus", "%s would overwrite %s, which is read; give another name", path, *inputs);
        return false;
    }
    return output_accepts("corpus", path);
}

/* FOLDER/REST if the corpus is there. */
static bool has_corpus(char *path, size_t size, const char *folder, const char *rest)
{
    char *probe;
    if (snprintf(path, size, "%s/%s", folder, rest) >= (int)size || asprintf(&probe, "%s/disagreements.txt", path) < 0)
        return false;
    bool is_there = access(probe, R_OK) == 0;
    free(probe);
    return is_there;
}

const char *corpus_data_folder(const char *folder)
{
    static char found[4096];
    char self[4096];
    if (folder)
        return folder;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    /* SOURCE/build/tools/segue, or PREFIX/bin/segue; the prefix may be another than it was built for. */
    for (unsigned up = 0; length > 0 && up < 3; up++) {
        self[length] = 0;
        char *slash = strrchr(self, '/');
        if (!slash)
            break;
        *slash = 0;
        length = slash - self;
        if ((up == 1 && has_corpus(found, sizeof found, self, "share/segue/corpus")) ||
            (up == 2 && has_corpus(found, sizeof found, self, "corpus/data")))
            return found;
    }
    return SEGUE_CORPUS_FOLDER;
}

void corpus_data_path(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s/%s", corpus_data_folder(folder), name);
}

const char *corpus_find_rows(const char *path, const char *folder)
{
    static const char *const endings[] = {"", ".hex.xz", ".hex"};
    static const char *const folders[] = {"corpus/data/", "corpus/"};
    const char *name = path;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && name == path; i++)
        if (strncmp(path, folders[i], strlen(folders[i])) == 0)
            name += strlen(folders[i]);
    if (access(path, F_OK) == 0 || strchr(name, '/'))
        return path;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char *found;
        if (asprintf(&found, "%s/%s%s", corpus_data_folder(folder), name, endings[i]) < 0)
            abort();
        if (access(found, R_OK) == 0)
            return found;
        free(found);
    }
    return path;
}

static int run_corpus(int argument_count, char **arguments)
{
    const char *names[sizeof verbs / sizeof *verbs];
    size_t count = sizeof verbs / sizeof *verbs;
    output_claim_descriptors();
    if (argument_count < 2)
        return misuse("corpus", "what is to be done is missing; say build, check, merge, diff or stat");
    for (size_t i = 0; i < count; i++) {
        names[i] = verbs[i].name;
        if (strcmp(names[i], arguments[1]) == 0)
            return verbs[i].run(argument_count - 1, arguments + 1);
    }
    const char *near = suggest(arguments[1], names, count);
    if (near)
        return misuse("corpus", "there is no '%s'; did you mean %s?", arguments[1], near);
    return misuse("corpus", "there is no '%s'; say build, check, merge, diff or stat", arguments[1]);
}

const struct verb corpus_verb = {&corpus_words, run_corpus};
