/* patch_file.c: whole files in memory. */
#include "patch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

#define VERB "patch"
/* No error number. */
#define NOT_REGULAR (-1)

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
        errno = S_ISDIR(image->status.st_mode) ? EISDIR : NOT_REGULAR;
        return false;
    }
    image->size = (size_t)image->status.st_size;
    image->bytes = malloc(image->size + 1);
    return image->bytes && read_all(file, image->bytes, image->size);
}

bool file_read(struct file_image *image, const char *path)
{
    *image = (struct file_image){.path = path};
    /* A pipe that nobody writes to would be waited for. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool done = file >= 0 && read_open_file(file, image);
    int error = errno;
    if (file >= 0)
        close(file);
    if (done)
        return true;
    complain(VERB, "cannot read %s: %s", path, error == NOT_REGULAR ? "it is no regular file" : strerror(error));
    file_free(image);
    return false;
}

void file_free(struct file_image *image)
{
    free(image->bytes);
    image->bytes = NULL;
}
