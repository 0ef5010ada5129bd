/* output_names.c: where a name leads to, and whether a file may stand there. */
#include "output_names.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "tools/support/message.h"

/* The file's path without links, to be freed; of a file that is not there, that which it would get. NULL, and errno, if
 * it cannot be found. */
static char *resolve(const char *path)
{
    struct stat status;
    char *resolved = realpath(path, NULL);
    if (resolved || errno != ENOENT || lstat(path, &status) == 0)
        return resolved;
    char *for_folder = strdup(path), *for_name = strdup(path);
    if (!for_folder || !for_name)
        abort();
    char *folder = realpath(dirname(for_folder), NULL);
    if (folder && asprintf(&resolved, "%s/%s", folder, basename(for_name)) < 0)
        abort();
    free(folder);
    free(for_folder);
    free(for_name);
    return resolved;
}

static const char *kind_of(mode_t mode)
{
    if (S_ISFIFO(mode))
        return "it is not a regular file but a pipe, and a result is put in a file's place as a whole; give a file";
    if (S_ISDIR(mode))
        return strerror(EISDIR);
    return S_ISREG(mode) ? NULL : "it is not a regular file, and would be replaced by one; give another name";
}

static bool is_standard_output(const struct stat *status)
{
    struct stat standard;
    return fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == status->st_dev &&
           standard.st_ino == status->st_ino;
}

/* Whatever is no file would be gone with what it stands for: a device, a pipe that somebody reads. */
static const char *refusal(const char *path, const char *resolved)
{
    struct stat status;
    int error = errno;
    if (!*path)
        return strerror(ENOENT);
    if (strcmp(path, "-") == 0)
        return "the result is a file, not standard output; a file of that name is ./-";
    /* What a link in /proc leads to has no path, or none any more. */
    if (stat(path, &status) == 0 && (kind_of(status.st_mode) || !resolved))
        return kind_of(status.st_mode) ? kind_of(status.st_mode) : "the file has no name any more; give one";
    if (!resolved)
        return strerror(error);
    if (lstat(resolved, &status) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (S_ISREG(status.st_mode) && is_standard_output(&status))
        return "standard output goes there already, and would be replaced; send that elsewhere";
    return kind_of(status.st_mode);
}

char *output_resolve(const char *verb, const char *path)
{
    char *resolved = resolve(path);
    const char *why = refusal(path, resolved);
    if (!why)
        return resolved;
    complain(verb, "cannot write %s: %s", path, why);
    free(resolved);
    return NULL;
}

bool output_accepts(const char *verb, const char *path)
{
    char *resolved = output_resolve(verb, path);
    bool accepted = resolved != NULL;
    free(resolved);
    return accepted;
}

bool output_is_same(const char *path, const char *other)
{
    char *one = resolve(path), *two = resolve(other);
    bool same = one && two && strcmp(one, two) == 0;
    free(one);
    free(two);
    return same;
}
