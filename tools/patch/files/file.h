/* file.h: the file that is patched. It is read piece by piece, and never mapped: a file that is cut short
 * meanwhile is an error then, and no signal. */
#ifndef SEGUE_TOOLS_PATCH_FILE_H
#define SEGUE_TOOLS_PATCH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct patch_file {
    /* What messages call it. */
    const char *path;
    int file;
    uint64_t size;
    struct stat status;
};

/* Says what was wrong. */
bool patch_file_open(struct patch_file *file, const char *path);
/* The file of that name in a folder, which must not be a link. */
bool patch_file_open_at(struct patch_file *file, int folder, const char *name, const char *path);
void patch_file_close(struct patch_file *file);

/* Whether nobody has written to the file since it was opened. Says so if not. */
bool patch_file_is_unchanged(const struct patch_file *file);

/* A checksum over bytes that come in pieces: FNV-1a, eight bytes at a time. */
struct checksum {
    uint64_t sum, word;
    unsigned held;
};

void checksum_begin(struct checksum *checksum);
uint64_t checksum_end(struct checksum *checksum);

/* Called for each piece of the file, in their order; it may change the bytes. False, having said why, ends. */
typedef bool patch_file_visit(void *context, uint64_t offset, uint8_t *bytes, size_t size);

/* Where holes must be visited as if they held zeros; else they are passed over. In the order of offsets; UINT64_MAX
 * when there are no more. */
typedef uint64_t patch_file_next(void *context, uint64_t offset);

/* What is done with the pieces; each may be NULL. */
struct patch_file_use {
    patch_file_visit *visit;
    patch_file_next *next;
    void *context;
    /* What the bytes are written to afterwards, holes staying holes; -1 for nothing. And what messages call it. */
    int to;
    const char *to_path;
};

/* Reads all of the file, holes without touching the disk, and stores the checksum of the bytes as `visit` left them,
 * unless `checksum` is NULL: it takes a while even for holes, a second for each five gigabytes.
 * Says what was wrong. */
bool patch_file_read_through(const struct patch_file *file, const struct patch_file_use *use, uint64_t *checksum);

#endif
