/* data.c: finds the data of the corpus. */
#include "data.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    /* SOURCE/build/tools/segue, or PREFIX/bin/segue; the prefix may differ from the configured one. */
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

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

const char *corpus_find_rows(const char *path, const char *folder)
{
    static const char *const endings[] = {"", ".hex.xz", ".hex"};
    static const char *const folders[] = {"corpus/data/", "corpus/"};
    const char *name = path;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && name == path; i++)
        if (strncmp(path, folders[i], strlen(folders[i])) == 0)
            name += strlen(folders[i]);
    if ((access(path, F_OK) == 0 && !is_folder(path)) || strchr(name, '/'))
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
