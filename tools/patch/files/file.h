/* file.h: the file that is patched. It is read piece by piece, and never mapped: truncating it meanwhile then causes an
 * error and not a signal. */
#ifndef SEGUE_TOOLS_PATCH_FILE_H
#define SEGUE_TOOLS_PATCH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct patch_file {
    /* Its name in messages. */
    const char *path;
    int file;
    uint64_t size;
    struct stat status;
};

/* Prints the reason on failure. */
bool patch_file_open(struct patch_file *file, const char *path);
/* Opens the file of that name in a folder; fails for a link. */
bool patch_file_open_at(struct patch_file *file, int folder, const char *name, const char *path);
void patch_file_close(struct patch_file *file);

/* Whether the file is unchanged since it was opened. If not, prints so. */
bool patch_file_is_unchanged(const struct patch_file *file);

/* A checksum over bytes that come in pieces: FNV-1a, eight bytes at a time. */
struct checksum {
    uint64_t sum, word;
    unsigned held;
};

void checksum_begin(struct checksum *checksum);
uint64_t checksum_end(struct checksum *checksum);

/* Called for each piece of the file, in order; it may change the bytes. To end the reading, it prints the reason and
 * returns false. */
typedef bool patch_file_visit(void *context, uint64_t offset, uint8_t *bytes, size_t size);

/* Returns where holes must be visited as if they held zeros; other holes are skipped. In the order of offsets;
 * UINT64_MAX when there are no more. */
typedef uint64_t patch_file_next(void *context, uint64_t offset);

/* How the pieces are used; each member may be NULL. */
struct patch_file_use {
    patch_file_visit *visit;
    patch_file_next *next;
    void *context;
    /* Where the bytes are written afterwards, holes staying holes; -1 for nowhere. And its name in messages. */
    int to;
    const char *to_path;
};

/* Reads all of the file, holes without reading the disk, and stores the checksum of the bytes after `visit`, unless
 * `checksum` is NULL: even for holes the checksum takes a second for each five gigabytes. Prints the reason on
 * failure. */
bool patch_file_read_through(const struct patch_file *file, const struct patch_file_use *use, uint64_t *checksum);

#endif
