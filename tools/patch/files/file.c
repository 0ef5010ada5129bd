/* file.c: the file that is patched, opened and read through. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/support/message.h"
#include "tools/support/progress.h"

#define VERB "patch"
#define PIECE (1u << 20)
/* No error number. */
#define NOT_REGULAR (-1)

/* --- Opening. --- */

static bool take(struct patch_file *file)
{
    if (fstat(file->file, &file->status) != 0)
        return false;
    errno = S_ISDIR(file->status.st_mode) ? EISDIR : NOT_REGULAR;
    file->size = (uint64_t)file->status.st_size;
    return S_ISREG(file->status.st_mode);
}

static bool open_file(struct patch_file *file, int folder, const char *name, const char *path, int flags)
{
    /* O_NONBLOCK: opening a pipe without a writer would block. */
    *file = (struct patch_file){.path = path, .file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags)};
    if (file->file >= 0 && take(file))
        return true;
    complain(VERB, "cannot read %s: %s", path, errno == NOT_REGULAR ? "it is not a regular file" : strerror(errno));
    patch_file_close(file);
    return false;
}

bool patch_file_open(struct patch_file *file, const char *path)
{
    return open_file(file, AT_FDCWD, path, path, 0);
}

bool patch_file_open_at(struct patch_file *file, int folder, const char *name, const char *path)
{
    return open_file(file, folder, name, path, O_NOFOLLOW);
}

void patch_file_close(struct patch_file *file)
{
    if (file->file >= 0)
        close(file->file);
    file->file = -1;
}

bool patch_file_is_unchanged(const struct patch_file *file)
{
    struct stat now;
    const struct stat *then = &file->status;
    if (fstat(file->file, &now) == 0 && now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == then->st_mtim.tv_nsec && now.st_ctim.tv_sec == then->st_ctim.tv_sec &&
        now.st_ctim.tv_nsec == then->st_ctim.tv_nsec)
        return true;
    complain(VERB, "%s was changed while it was read; try again when no program writes to it", file->path);
    return false;
}

/* --- The checksum. --- */

void checksum_begin(struct checksum *checksum)
{
    *checksum = (struct checksum){.sum = 0xcbf29ce484222325u};
}

static inline uint64_t sum_word(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x100000001b3u;
    return sum ^ sum >> 32;
}

/* Adds a byte to a word that comes in parts. */
static void add_byte(struct checksum *checksum, uint8_t byte)
{
    checksum->word |= (uint64_t)byte << 8 * checksum->held;
    if (++checksum->held < 8)
        return;
    checksum->sum = sum_word(checksum->sum, checksum->word);
    checksum->word = checksum->held = 0;
}

static void checksum_add(struct checksum *checksum, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && checksum->held)
        add_byte(checksum, bytes[at++]);
    uint64_t sum = checksum->sum;
    for (; size - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, 8);
        sum = sum_word(sum, word);
    }
    checksum->sum = sum;
    while (at < size)
        add_byte(checksum, bytes[at++]);
}

static void checksum_add_zeros(struct checksum *checksum, uint64_t size)
{
    for (; size && checksum->held; size--)
        add_byte(checksum, 0);
    uint64_t sum = checksum->sum;
    for (; size >= 8; size -= 8)
        sum = sum_word(sum, 0);
    checksum->sum = sum;
    for (; size; size--)
        add_byte(checksum, 0);
}

uint64_t checksum_end(struct checksum *checksum)
{
    return checksum->held ? sum_word(checksum->sum, checksum->word) : checksum->sum;
}

/* --- Reading it through. --- */

static bool read_piece(const struct patch_file *file, uint64_t offset, uint8_t *bytes, size_t size)
{
    size_t held = 0;
    while (held < size) {
        ssize_t got = pread(file->file, bytes + held, size - held, (off_t)(offset + held));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            complain(VERB, "cannot read %s: %s", file->path,
                     got == 0 ? "it became shorter while it was read" : strerror(errno));
            return false;
        }
        held += (size_t)got;
    }
    return true;
}

static bool write_piece(const struct patch_file_use *use, uint64_t offset, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t put = pwrite(use->to, bytes, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            complain(VERB, "cannot write %s: %s", use->to_path, strerror(put == 0 ? ENOSPC : errno));
            return false;
        }
        bytes += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return true;
}

/* Finds where data begins, and where it ends, from `offset` on. On a file system without holes, all is data. */
static void find_data(const struct patch_file *file, uint64_t offset, uint64_t *start, uint64_t *end)
{
    off_t data = lseek(file->file, (off_t)offset, SEEK_DATA);
    *start = data >= 0 ? (uint64_t)data : errno == ENXIO ? file->size : offset;
    off_t hole = *start < file->size ? lseek(file->file, (off_t)*start, SEEK_HOLE) : -1;
    *end = hole > (off_t)*start ? (uint64_t)hole : file->size;
    if (*start > file->size)
        *start = file->size;
    if (*end > file->size)
        *end = file->size;
}

/* The bytes from `offset` to `end`. */
static bool use_data(const struct patch_file *file, const struct patch_file_use *use, uint64_t offset, uint64_t end,
                     uint8_t *bytes, struct checksum *checksum)
{
    while (offset < end) {
        size_t size = end - offset < PIECE ? (size_t)(end - offset) : PIECE;
        if (!read_piece(file, offset, bytes, size) || (use->visit && !use->visit(use->context, offset, bytes, size)) ||
            (use->to >= 0 && !write_piece(use, offset, bytes, size)))
            return false;
        if (checksum)
            checksum_add(checksum, bytes, size);
        offset += size;
        progress_advance(size);
    }
    return true;
}

/* Visits a hole, of which only the parts are read that `next` returns. */
static bool use_hole(const struct patch_file *file, const struct patch_file_use *use, uint64_t offset, uint64_t end,
                     uint8_t *bytes, struct checksum *checksum)
{
    while (offset < end) {
        uint64_t wanted = use->next ? use->next(use->context, offset) : UINT64_MAX;
        uint64_t zeros_end = wanted < end ? wanted : end;
        if (checksum)
            checksum_add_zeros(checksum, zeros_end - offset);
        progress_advance(zeros_end - offset);
        offset = zeros_end;
        uint64_t stop = end - offset < PIECE ? end : offset + PIECE;
        if (offset < end && !use_data(file, use, offset, stop, bytes, checksum))
            return false;
        if (offset < end)
            offset = stop;
    }
    return true;
}

bool patch_file_read_through(const struct patch_file *file, const struct patch_file_use *use, uint64_t *result)
{
    struct checksum checksum, *sums = result ? &checksum : NULL;
    uint64_t offset = 0, start, end;
    uint8_t *bytes = malloc(PIECE);
    bool done = bytes != NULL;
    if (!bytes)
        complain(VERB, "cannot read %s: %s", file->path, strerror(errno));
    if (done && use->to >= 0 && ftruncate(use->to, (off_t)file->size) != 0) {
        complain(VERB, "cannot write %s: %s", use->to_path, strerror(errno));
        done = false;
    }
    checksum_begin(&checksum);
    while (done && offset < file->size) {
        find_data(file, offset, &start, &end);
        done = use_hole(file, use, offset, start, bytes, sums) && use_data(file, use, start, end, bytes, sums);
        offset = end;
    }
    free(bytes);
    if (result)
        *result = checksum_end(&checksum);
    return done;
}
