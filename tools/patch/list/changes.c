/* changes.c: compares a file with the list of its changes, and takes the changes back. */
#include "changes.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/patch/elf/elf.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"

#define VERB "patch"
#define COMPLAINTS 5

struct comparison {
    const struct changes *changes;
    const char *path;
    /* The object that comes next, or the change. */
    size_t at;
    size_t wrong;
};

static bool compare_build_id(void *context, const struct elf_object *object, const char *refusal)
{
    struct comparison *comparison = context;
    const struct changes *changes = comparison->changes;
    const char *expected = comparison->at < changes->object_count ? changes->build_ids[comparison->at] : NULL;
    (void)refusal;
    if (comparison->at++ >= changes->object_count || strcmp(expected ? expected : "", object->build_id) == 0)
        return true;
    complain(VERB, "%s has the build-id %s, and the list is for %s", comparison->path,
             object->build_id[0] ? object->build_id : "(none)", expected ? expected : "(none)");
    comparison->wrong++;
    return false;
}

static bool check_objects(const struct changes *changes, const struct patch_file *file)
{
    struct elf_source source = {.file = file->file, .size = file->size};
    struct comparison comparison = {.changes = changes, .path = file->path};
    elf_objects(&source, compare_build_id, &comparison);
    if (source.error)
        complain(VERB, "cannot read %s: %s", file->path, strerror(source.error));
    else if (!comparison.wrong && comparison.at != changes->object_count)
        complain(VERB, "%s is not the file that the list is for: it has %zu object%s in place of %zu", file->path,
                 comparison.at, plural(comparison.at), changes->object_count);
    else
        return !comparison.wrong;
    return false;
}

/* Compares a piece of the file with the changes in it, and takes them back there. */
static bool compare_bytes(void *context, uint64_t offset, uint8_t *bytes, size_t size)
{
    struct comparison *comparison = context;
    const struct changes *changes = comparison->changes;
    for (; comparison->at < changes->count && changes->list[comparison->at].at - offset < size; comparison->at++) {
        const struct change *change = &changes->list[comparison->at];
        uint8_t *byte = &bytes[change->at - offset];
        if (*byte != change->new_byte && comparison->wrong++ < COMPLAINTS)
            complain(VERB, "%s: the byte at offset 0x%" PRIx64 " is %02x, and %02x in the list", comparison->path,
                     change->at, *byte, change->new_byte);
        *byte = change->old_byte;
    }
    return true;
}

/* The next change, even in a hole: its byte was changed to zero, or is wrong. */
static uint64_t next_change(void *context, uint64_t offset)
{
    const struct comparison *comparison = context;
    (void)offset;
    return comparison->at < comparison->changes->count ? comparison->changes->list[comparison->at].at : UINT64_MAX;
}

bool changes_take_back(const struct changes *changes, const struct patch_file *file, int to, const char *to_path)
{
    struct comparison comparison = {.changes = changes, .path = file->path};
    struct patch_file_use use = {compare_bytes, next_change, &comparison, to, to_path};
    uint64_t checksum;
    if (file->size != changes->size) {
        complain(VERB, "%s has %" PRIu64 " byte%s, and the list is for a file of %" PRIu64, file->path, file->size,
                 plural(file->size), changes->size);
        return false;
    }
    if (!check_objects(changes, file) || !patch_file_read_through(file, &use, &checksum))
        return false;
    if (comparison.wrong > COMPLAINTS)
        complain(VERB, "%s: and %zu more", file->path, comparison.wrong - COMPLAINTS);
    if (comparison.wrong)
        return false;
    if (checksum == changes->checksum)
        return patch_file_is_unchanged(file);
    complain(VERB, "%s differs from the file that the list is for at other places than those in the list", file->path);
    return false;
}

bool changes_are_in(const struct changes *changes, const struct patch_file *file)
{
    if (file->size != changes->size)
        return false;
    for (size_t i = 0; i < changes->count; i++) {
        uint8_t byte;
        if (pread(file->file, &byte, 1, (off_t)changes->list[i].at) != 1 || byte != changes->list[i].new_byte)
            return false;
    }
    return changes->count > 0;
}
