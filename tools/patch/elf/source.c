/* source.c: the bytes of an object, from a file or from memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf.h"

bool elf_read(const struct elf_object *object, uint64_t offset, void *to, size_t size)
{
    struct elf_source *source = object->source;
    if (offset > object->size || size > object->size - offset)
        return false;
    offset += object->offset;
    if (source->memory) {
        memcpy(to, source->memory + offset, size);
        return true;
    }
    for (uint8_t *at = to; size;) {
        ssize_t got = pread(source->file, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            source->error = got < 0 ? errno : EIO;
            return false;
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

const uint8_t *elf_section_bytes(const struct elf_object *object, const struct elf_section *section, uint8_t **owned)
{
    *owned = NULL;
    if (object->source->memory)
        return object->source->memory + object->offset + section->offset;
    *owned = malloc(section->size + 1);
    if (!*owned) {
        object->source->error = ENOMEM;
        return NULL;
    }
    return elf_read(object, section->offset, *owned, section->size) ? *owned : NULL;
}
