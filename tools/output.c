/* output.c: the files that the command writes. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

#define MODE_BITS 07777

/* The file's path without links, to be freed; of a file that is not there, that which it would get. NULL, and errno, if
 * there is none. */
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

/* Whatever is no file would be gone with what it stands for: a device, a pipe that somebody reads. */
static const char *refusal(const char *path, const char *resolved)
{
    struct stat status;
    if (strcmp(path, "-") == 0)
        return "the result is a file, not standard output; a file of that name is ./-";
    if (!resolved)
        return strerror(errno);
    if (lstat(resolved, &status) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (S_ISDIR(status.st_mode))
        return strerror(EISDIR);
    return S_ISREG(status.st_mode) ? NULL : "it is no regular file, and would be replaced by one; give another name";
}

static bool accept(const char *verb, const char *path, const char *resolved)
{
    const char *why = refusal(path, resolved);
    if (why)
        complain(verb, "cannot write %s: %s", path, why);
    return !why;
}

bool output_accepts(const char *verb, const char *path)
{
    char *resolved = resolve(path);
    bool accepted = accept(verb, path, resolved);
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

static bool write_all(int file, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t put = write(file, bytes, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        size -= (size_t)put;
    }
    return true;
}

/* The owner first: changing it takes the set-user-ID bit away. Not being allowed to is no failure, but then that bit
 * would lend the wrong user's rights. */
static bool copy_attributes(int file, const struct stat *like)
{
    struct timespec times[2] = {like->st_atim, like->st_mtim};
    mode_t mode = like->st_mode & MODE_BITS;
    if (fchown(file, like->st_uid, like->st_gid) != 0)
        mode &= (mode_t) ~(S_ISUID | S_ISGID);
    return fchmod(file, mode) == 0 && futimens(file, times) == 0;
}

static mode_t default_mode;

/* The system tells only by changing it: once, for several threads may write. */
static void find_default_mode(void)
{
    mode_t taken = umask(0);
    umask(taken);
    default_mode = 0666 & ~taken;
}

static bool fill(int file, const void *bytes, size_t size, const struct stat *like)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_default_mode);
    return write_all(file, bytes, size) && (like ? copy_attributes(file, like) : fchmod(file, default_mode) == 0);
}

/* 0, or an error number. */
static int put_in_place(const char *resolved, const void *bytes, size_t size, const struct stat *like)
{
    char *temporary;
    if (asprintf(&temporary, "%s.XXXXXX", resolved) < 0)
        abort();
    int file = mkostemp(temporary, O_CLOEXEC);
    int error = file < 0 || !fill(file, bytes, size, like) ? errno : 0;
    if (file >= 0 && close(file) != 0 && !error)
        error = errno;
    if (!error && rename(temporary, resolved) != 0)
        error = errno;
    if (error && file >= 0)
        unlink(temporary);
    free(temporary);
    return error;
}

bool output_write(const char *verb, const char *path, const void *bytes, size_t size, const struct stat *like)
{
    char *resolved = resolve(path);
    bool accepted = accept(verb, path, resolved);
    int error = accepted ? put_in_place(resolved, bytes, size, like) : 0;
    if (error)
        complain(verb, "cannot write %s: %s", path, strerror(error));
    free(resolved);
    return accepted && !error;
}
