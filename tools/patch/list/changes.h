/* changes.h: a list that segue patch wrote, read back, and the comparison of a file with it. */
#ifndef SEGUE_TOOLS_PATCH_CHANGES_H
#define SEGUE_TOOLS_PATCH_CHANGES_H

#include "tools/patch/files/file.h"

/* A byte that was changed. */
struct change {
    uint64_t at;
    uint8_t old_byte, new_byte;
};

struct changes {
    /* Of the file as it was. */
    uint64_t size, checksum;
    /* Of its objects; NULL for an object without one. */
    char **build_ids;
    size_t object_count, object_capacity;
    /* Sorted; each byte once. */
    struct change *list;
    size_t count, capacity;
};

enum changes_outcome {
    CHANGES_READ,
    CHANGES_ABSENT,
    /* It cannot be read, or is not a list. */
    CHANGES_WRONG,
};

/* Whether errors are printed. */
enum changes_voice {
    CHANGES_SAY,
    /* All errors except that there is no list. */
    CHANGES_ABSENT_IS_FINE,
    CHANGES_QUIET,
};

/* Reads the list of that name in a folder (AT_FDCWD, and any path); messages call it `path`, `flags` are for openat.
 * After CHANGES_READ the caller frees it. */
enum changes_outcome changes_read(struct changes *changes, int folder, const char *name, int flags, const char *path,
                                  enum changes_voice voice);
void changes_free(struct changes *changes);

/* Whether the file is what the list says it became: same size, same build-ids, the new byte at each place, and the same
 * checksum with the old bytes put back. The original is written to `to`, unless that is -1. Prints what differs, at
 * most a few of the bytes. */
bool changes_take_back(const struct changes *changes, const struct patch_file *file, int to, const char *to_path);

/* Whether the file has the right size and all new bytes at the places of the list. Prints nothing. False for a list
 * without changes. */
bool changes_are_in(const struct changes *changes, const struct patch_file *file);

#endif
