/* folders.c: folders, links and names below a folder that is open.
 *
 * SOURCES: openat(2), path_resolution(7): with O_NOFOLLOW and one name at a time nothing is resolved but that name. */
#include "folders.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/support/output/output.h"

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Opens one name; closes the folder that contains it, unless it is the root. */
static int step_into(int root, int folder, const char *name)
{
    int next = openat(folder, name, OPEN_FLAGS), error = errno;
    if (folder != root)
        close(folder);
    errno = error == ELOOP ? ENOTDIR : error;
    return next;
}

/* Opens the folder at the first `length` bytes of a path. */
static int open_part(int root, const char *path, size_t length)
{
    char name[NAME_MAX + 1];
    int folder = root;
    for (size_t at = 0; at < length && folder >= 0;) {
        size_t end = at + strcspn(path + at, "/");
        if (end > length)
            end = length;
        if (end - at > NAME_MAX) {
            if (folder != root)
                close(folder);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path + at, end - at);
        name[end - at] = 0;
        folder = step_into(root, folder, name);
        at = end + (path[end] == '/');
    }
    return folder == root ? openat(root, ".", OPEN_FLAGS) : folder;
}

int folder_open(int root, const char *path)
{
    return open_part(root, path, strlen(path));
}

int folder_open_parent(int root, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return open_part(root, path, slash ? (size_t)(slash - path) : 0);
}

int folder_make(int root, const char *path, mode_t mode)
{
    const char *name;
    int parent = folder_open_parent(root, path, &name);
    if (parent < 0)
        return -1;
    if (mkdirat(parent, name, mode) != 0 && errno != EEXIST) {
        int error = errno;
        close(parent);
        errno = error;
        return -1;
    }
    return step_into(root, parent, name);
}

bool folder_is_inside(int inner, int outer)
{
    struct stat wanted, here, above;
    int folder = openat(inner, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool found = false;
    if (fstat(outer, &wanted) != 0 || folder < 0 || fstat(folder, &here) != 0)
        found = true;
    while (!found) {
        found = here.st_dev == wanted.st_dev && here.st_ino == wanted.st_ino;
        int next = found ? -1 : openat(folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (next < 0)
            break;
        close(folder);
        folder = next;
        if (fstat(folder, &above) != 0 || (above.st_dev == here.st_dev && above.st_ino == here.st_ino))
            break;
        here = above;
    }
    if (folder >= 0)
        close(folder);
    return found;
}

/* Moves a file or link from its temporary name to its place, unless a folder is there. */
static bool move_into_place(int folder, const char *temporary, const char *name)
{
    bool done = renameat(folder, temporary, folder, name) == 0;
    int error = errno;
    /* rename(2) keeps both names if they are names of one file. */
    unlinkat(folder, temporary, 0);
    errno = error;
    return done;
}

bool folder_copy_link(int from, int to, const char *name, const struct stat *status)
{
    char target[PATH_MAX], temporary[OUTPUT_TEMPORARY_SIZE];
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return false;
    target[length] = 0;
    output_make_temporary_name(temporary);
    if (symlinkat(target, to, temporary) != 0)
        return false;
    /* The result is usable without either. */
    if (fchownat(to, temporary, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) != 0 ||
        utimensat(to, temporary, times, AT_SYMLINK_NOFOLLOW) != 0)
        errno = 0;
    return move_into_place(to, temporary, name);
}

bool folder_add_name(int from, const char *from_name, int to, const char *name)
{
    char temporary[OUTPUT_TEMPORARY_SIZE];
    output_make_temporary_name(temporary);
    return linkat(from, from_name, to, temporary, 0) == 0 && move_into_place(to, temporary, name);
}
