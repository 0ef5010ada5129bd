/* output_attributes.c: owner, permissions, extended attributes and times are copied.
 *
 * SOURCES: chown(2): a change of owner takes set-user-ID and capabilities away, and so does a write; xattr(7);
 * acl(5): a file that is made in a folder with a default list gets one of its own; capabilities(7). */
#include "output_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/support/message.h"

#define MODE_BITS 07777
#define CAPABILITIES "security.capability"

static const char access_list[] = "system.posix_acl_access", default_list[] = "system.posix_acl_default";

/* The owner that we may give, and the permissions that are left then: the set-user-ID bit would lend the wrong user's
 * rights. */
static mode_t copy_owner(const struct stat *like, int to)
{
    mode_t mode = like->st_mode & MODE_BITS;
    if (fchown(to, like->st_uid, like->st_gid) == 0)
        return mode;
    if (fchown(to, (uid_t)-1, like->st_gid) != 0 && !S_ISDIR(like->st_mode))
        mode &= ~(mode_t)S_ISGID;
    return mode & ~(mode_t)S_ISUID;
}

/* The names of a file's attributes, one after another, to be freed. */
static ssize_t list_names(int file, char **names)
{
    *names = malloc(XATTR_LIST_MAX);
    if (!*names)
        abort();
    ssize_t size = flistxattr(file, *names, XATTR_LIST_MAX);
    return size < 0 && errno == ENOTSUP ? 0 : size;
}

static const char *remedy(const char *name)
{
    if (strcmp(name, CAPABILITIES) == 0)
        return "run it as root, or take them from the file before (setcap -r), or from a copy";
    return "put the result where they can be kept, or take them from a copy of the file before";
}

static const char *meaning(const char *name)
{
    if (strcmp(name, CAPABILITIES) == 0)
        return "its capabilities";
    if (strcmp(name, access_list) == 0 || strcmp(name, default_list) == 0)
        return "its access control list";
    return "an extended attribute of the file";
}

static bool cannot_keep(const char *verb, const char *path, const char *name, const char *why)
{
    complain(verb, "cannot write %s: %s (%s) cannot be kept: %s; %s", path, meaning(name), name, why, remedy(name));
    return false;
}

/* Signatures and checksums of bytes that are no longer the same. */
static bool is_of_bytes(const char *name)
{
    return strcmp(name, "security.ima") == 0 || strcmp(name, "security.evm") == 0;
}

static bool copy_one(const char *verb, const char *path, const char *name, int from, int to, char *value,
                     enum output_bytes bytes)
{
    if (bytes == OUTPUT_BYTES_CHANGED && is_of_bytes(name))
        return cannot_keep(verb, path, name, "it is for the bytes as they were");
    ssize_t size = fgetxattr(from, name, value, XATTR_SIZE_MAX);
    /* It was taken away just now. */
    if (size < 0 && errno == ENODATA)
        return true;
    if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) == 0)
        return true;
    return cannot_keep(verb, path, name, strerror(errno));
}

static bool holds(const char *names, ssize_t size, const char *name)
{
    for (const char *at = names; at < names + size; at += strlen(at) + 1)
        if (strcmp(at, name) == 0)
            return true;
    return false;
}

/* The folder that the file was made in may have given it a list. */
static bool remove_list(int to, const char *names, ssize_t size, const char *name)
{
    return holds(names, size, name) || fremovexattr(to, name) == 0 || errno == ENODATA || errno == ENOTSUP;
}

static bool copy_extended(const char *verb, const char *path, int from, int to, enum output_bytes bytes)
{
    char *names, *value = malloc(XATTR_SIZE_MAX);
    ssize_t size = list_names(from, &names);
    bool done =
        value && size >= 0 && remove_list(to, names, size, access_list) && remove_list(to, names, size, default_list);
    if (!done)
        complain(verb, "cannot write %s: its extended attributes cannot be read: %s", path, strerror(errno));
    for (const char *name = names; done && name < names + size; name += strlen(name) + 1)
        done = copy_one(verb, path, name, from, to, value, bytes);
    free(names);
    free(value);
    return done;
}

bool output_copy_attributes(const char *verb, const char *path, int from, const struct stat *like, int to,
                            enum output_bytes bytes)
{
    struct timespec times[2] = {like->st_atim, like->st_mtim};
    mode_t mode = copy_owner(like, to);
    if (fchmod(to, mode) == 0 && !copy_extended(verb, path, from, to, bytes))
        return false;
    if (fchmod(to, mode) == 0 && futimens(to, times) == 0)
        return true;
    complain(verb, "cannot write %s: its permissions and times cannot be kept: %s", path, strerror(errno));
    return false;
}
