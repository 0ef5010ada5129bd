/* changes.h: a list that segue patch wrote, read back, and a file held against it. */
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
    /* Of its objects; NULL where there is none. */
    char **build_ids;
    size_t object_count, object_capacity;
    /* Sorted; each byte once. */
    struct change *list;
    size_t count, capacity;
};

enum changes_outcome {
    CHANGES_READ,
    CHANGES_ABSENT,
    /* It cannot be read, or is no list. */
    CHANGES_WRONG,
};

/* Whether what is wrong is said. */
enum changes_voice {
    CHANGES_SAY,
    /* But not that there is no list. */
    CHANGES_ABSENT_IS_FINE,
    CHANGES_QUIET,
};

/* Reads the list of that name in a folder (AT_FDCWD, and any path); `path` is what messages call it, `flags` are for
 * openat. Only CHANGES_READ leaves something to be freed. */
enum changes_outcome changes_read(struct changes *changes, int folder, const char *name, int flags, const char *path,
                                  enum changes_voice voice);
void changes_free(struct changes *changes);

/* Whether the file is the one that the list is for, as the list says it became: same size, same build-ids, the new byte
 * at each place, and with the old ones there the same checksum. What it was is written to `to`, unless that is -1. Says
 * what is wrong, a few of the bytes at most. */
bool changes_take_back(const struct changes *changes, const struct patch_file *file, int to, const char *to_path);

/* Whether the file has all new bytes at the places, told by them and its size alone; nothing is said. False for a list
 * without any. */
bool changes_are_in(const struct changes *changes, const struct patch_file *file);

#endif
