/* files.h: files whose mappings are watched, as they come and go; for the library's own tool.
 *
 * A file is the one that is at its path, now or when it is mapped. Each has one number, and a range for each of its
 * mappings. Their records have the place in the file: in `moved_to` of an access, and in the first bytes of `before` of
 * all others (file_offset_of).
 *
 * All under the lock of adopt.h, where nothing else is said. */
#ifndef SEGUE_SIGNALS_WATCH_FILES_H
#define SEGUE_SIGNALS_WATCH_FILES_H

#include <segue/watch.h>
#include <string.h>

#include "platform/memory/mappings.h"

/* A kind of record, beside enum segue_watch_kind: a call has mapped the file, at that address. */
#define WATCH_MAPPED 3

/* What became of a file's mappings, in memory that a child made by fork shares. */
struct file_found {
    uint32_t watched, code, refused;
    /* Of the first that was refused. */
    uint32_t has_reason;
    char reason[160];
};

struct watched_file {
    /* Absolute. */
    const char *path;
    /* The part of the file; of size 0: all of it. */
    uint64_t offset, size;
    /* enum segue_watch_flags. */
    uint32_t flags;
    /* Of its watch. */
    uint32_t number;
    struct file_found *found;
    /* That was at the path at first: as mappings have it, and as stat says it. */
    uint64_t first, first_stat;
};

static inline uint64_t file_offset_of(const struct segue_watch_record *record)
{
    uint64_t offset = record->moved_to;
    if (record->kind != SEGUE_WATCH_ACCESS)
        memcpy(&offset, record->before, sizeof offset);
    return offset;
}

/* From now on these, whose memory is the caller's, and stays; none with a count of 0. */
void files_follow(struct watched_file *files, size_t count);
/* Whether there are any. General registers only; async-signal-safe, without the lock. */
bool files_are_followed(void);

/* Calls `visit` for each part of a mapping that is to be watched and is not yet: `offset` is that of its first byte. */
typedef void files_visit(void *context, const struct watched_file *file, uint64_t at, uint64_t size, uint64_t offset);
void files_look(const struct mapping *mapping, files_visit *visit, void *context);

/* Calls `visit` for each of them that the descriptor is of, if it is one. Async-signal-safe, without the lock. */
void files_each_of(int descriptor, void (*visit)(const struct watched_file *file, const char *why), const char *why);

/* Watches files, and the mappings that they have already; stores the names of the watches in `ids`. It keeps `files`.
 * Returns as segue_watch_add. Takes the lock. In watch.c. */
enum segue_status watch_files(struct watched_file *files, size_t count, uint64_t *ids);
/* What is mapped from now on is not watched. Takes the lock. In watch.c. */
void watch_no_files(void);

#endif
