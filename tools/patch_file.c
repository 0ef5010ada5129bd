/* patch_file.c: whole files. A file that is written appears under its name complete, or not at all. */
#include "patch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

#define VERB "patch"
#define MODE_BITS 07777

static bool read_all(int file, uint8_t *bytes, size_t size)
{
    size_t held = 0;
    while (held < size) {
        ssize_t got = read(file, bytes + held, size - held);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO;
        if (got <= 0)
            return false;
        held += (size_t)got;
    }
    return true;
}

static bool read_open_file(int file, struct file_image *image)
{
    if (fstat(file, &image->status) != 0)
        return false;
    if (!S_ISREG(image->status.st_mode)) {
        errno = S_ISDIR(image->status.st_mode) ? EISDIR : EINVAL;
        return false;
    }
    image->size = (size_t)image->status.st_size;
    image->bytes = malloc(image->size + 1);
    return image->bytes && read_all(file, image->bytes, image->size);
}

bool file_read(struct file_image *image, const char *path)
{
    *image = (struct file_image){.path = path};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool done = file >= 0 && read_open_file(file, image);
    int error = errno;
    if (file >= 0)
        close(file);
    if (done)
        return true;
    complain(VERB, "cannot read %s: %s", path, strerror(error));
    file_free(image);
    return false;
}

void file_free(struct file_image *image)
{
    free(image->bytes);
    image->bytes = NULL;
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

static bool fill(int file, const void *bytes, size_t size, const struct stat *like)
{
    return write_all(file, bytes, size) && (like ? copy_attributes(file, like) : fchmod(file, 0644) == 0);
}

bool file_write(const char *path, const void *bytes, size_t size, const struct stat *like)
{
    char *temporary;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        abort();
    int file = mkostemp(temporary, O_CLOEXEC);
    bool done = file >= 0 && fill(file, bytes, size, like);
    int error = errno;
    if (file >= 0 && close(file) != 0 && done) {
        done = false;
        error = errno;
    }
    if (done && rename(temporary, path) != 0) {
        done = false;
        error = errno;
    }
    if (!done) {
        if (file >= 0)
            unlink(temporary);
        complain(VERB, "cannot write %s: %s", path, strerror(error));
    }
    free(temporary);
    return done;
}
