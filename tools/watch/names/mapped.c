/* mapped.c: see mapped.h. */
#include "mapped.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "code.h"
#include "tools/support/message.h"

#define VERB "watch"
#define PREFIX "map:"

bool mapped_is(const char *name)
{
    return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0;
}

static bool read_number(const char **text, int end, uint64_t *number)
{
    char *behind;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *number = strtoull(*text, &behind, 0);
    *text = behind + 1;
    return errno == 0 && *behind == end;
}

/* "+OFFSET:SIZE" behind the path; NULL without that. */
static const char *part_of(const char *path, uint64_t *offset, uint64_t *size)
{
    const char *plus = strrchr(path, '+'), *at = plus ? plus + 1 : NULL;
    return plus && read_number(&at, ':', offset) && read_number(&at, 0, size) ? plus : NULL;
}

/* The number of a part is wrong, or missing: what is in front of the "+" is a file. */
static bool has_wrong_part(const char *path)
{
    const char *plus = strrchr(path, '+');
    char *file = plus ? strndup(path, (size_t)(plus - path)) : NULL;
    const bool has = file && access(file, F_OK) == 0;
    free(file);
    return has;
}

static char *absolute(const char *path)
{
    char folder[PATH_MAX], *whole;
    if (*path == '/')
        return strdup(path);
    if (!getcwd(folder, sizeof folder) || asprintf(&whole, "%s/%s", folder, path) < 0)
        return NULL;
    return whole;
}

static bool has_folder(const char *path)
{
    struct stat status;
    char *folder = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    if (!folder)
        abort();
    const bool has = stat(folder, &status) == 0 && S_ISDIR(status.st_mode);
    free(folder);
    return has && !(path[strlen(path) - 1] == '/');
}

/* The C library and the loader access their own data with all signals blocked: a fault then kills the program. */
static bool is_refused(const char *path)
{
    char *real = realpath(path, NULL);
    const char *base = real ? strrchr(real, '/') + 1 : "";
    const bool is = strncmp(base, "libc.so", 7) == 0 || strncmp(base, "ld-linux", 8) == 0 || code_is_own(base);
    free(real);
    return is;
}

static const char *look(const struct target *target, uint64_t *size)
{
    struct stat status;
    if (strlen(target->path) >= SHARED_PATH)
        return "the path is too long";
    if (stat(target->path, &status) != 0) {
        if (errno != ENOENT)
            return strerror(errno);
        return has_folder(target->path) ? NULL : "there is no such file, and no folder where it could be made";
    }
    if (S_ISDIR(status.st_mode))
        return "it is a directory; a file can be mapped";
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return "it is neither a file nor a disk";
    if (is_refused(target->path))
        return "it is a library that watched programs use with all signals blocked: that would end the program";
    *size = (uint64_t)status.st_size;
    return NULL;
}

static bool fail(const struct target *target, const char *why)
{
    complain(VERB, "%s: %s", target->name, why);
    return false;
}

bool mapped_find(const char *name, struct target *target)
{
    const char *typed = name + sizeof PREFIX - 1;
    uint64_t offset = 0, size = 0, whole = 0;
    const bool is_there = access(typed, F_OK) == 0;
    const char *part = is_there ? NULL : part_of(typed, &offset, &size);
    *target = (struct target){.name = name, .offset = offset};
    if (!is_there && !part && has_wrong_part(typed))
        return fail(target, "there is no such file; a part of one is map:PATH+OFFSET:SIZE, with two numbers");
    target->shown = strndup(typed, part ? (size_t)(part - typed) : strlen(typed));
    target->path = target->shown && *target->shown ? absolute(target->shown) : NULL;
    if (!target->path)
        return fail(target, "it wants a file's path: map:PATH, or map:PATH+OFFSET:SIZE");
    if (part && (!size || offset + size < size))
        return fail(target, "SIZE is 0, or too large");
    const char *why = look(target, &whole);
    if (why)
        return fail(target, why);
    target->part = size;
    target->size = size ? size : whole;
    return true;
}

void mapped_give(struct shared *shared, const struct target *target, uint32_t number)
{
    struct shared_file *file = &shared->files[shared->file_count++];
    *file = (struct shared_file){.offset = target->offset, .size = target->part, .range = number};
    strcpy(file->path, target->path);
}

void mapped_say(const struct shared *shared, const struct target *targets)
{
    for (uint32_t i = 0; i < shared->file_count; i++) {
        const struct file_found *found = &shared->files[i].found;
        const char *name = targets[shared->files[i].range].name;
        if (found->refused)
            complain(VERB, "%s: %u of its mappings could not be watched: %s", name, found->refused, found->reason);
        else if (found->code)
            complain(VERB, "%s: %s", name,
                     found->watched ? "its code was mapped, too, which is not watched"
                                    : "only its code was mapped, which is not watched");
        else if (!found->watched)
            complain(VERB, "%s was never mapped", name);
    }
}
