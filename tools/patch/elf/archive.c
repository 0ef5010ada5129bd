/* archive.c: the members of an archive, without libelf: libelf 0.188 cannot read them from memory (docs/facts.md).
 *
 * SOURCES: ar(5); System V ABI, chapter 7 (archive file). */
#include <ar.h>
#include <stdlib.h>
#include <string.h>

#include "elf.h"

/* Longer than any name that a file system allows. */
#define MEMBER_NAME 4096

struct archive {
    struct elf_source *source;
    /* The archive itself, to read from. */
    struct elf_object whole;
    /* The table of names that are too long for a header. */
    uint64_t names, names_size;
};

/* Reads a decimal number that is padded with blanks; false for any other text. */
static bool read_decimal(const char *text, size_t width, uint64_t *number)
{
    size_t at = 0;
    for (*number = 0; at < width && text[at] >= '0' && text[at] <= '9'; at++)
        *number = 10 * *number + (uint64_t)(text[at] - '0');
    return at > 0 && (at == width || text[at] == ' ' || text[at] == '\n');
}

/* Reads a name that ends at a slash, in the header or in the table: "/N" is an offset in the table. */
static void read_member_name(const struct archive *archive, const struct ar_hdr *header, char name[MEMBER_NAME])
{
    size_t length = sizeof header->ar_name;
    uint64_t offset;
    memcpy(name, header->ar_name, length);
    if (name[0] == '/' && read_decimal(name + 1, length - 1, &offset) && offset < archive->names_size) {
        uint64_t left = archive->names_size - offset;
        length = left < MEMBER_NAME - 1 ? (size_t)left : MEMBER_NAME - 1;
        if (!elf_read(&archive->whole, archive->names + offset, name, length))
            length = 0;
    }
    size_t end = 0;
    while (end < length && name[end] && name[end] != '/' && name[end] != '\n')
        end++;
    name[end] = 0;
}

static bool visit_member(const struct archive *archive, const struct ar_hdr *header, uint64_t offset, uint64_t size,
                         elf_object_visit *visit, void *context)
{
    char name[MEMBER_NAME];
    read_member_name(archive, header, name);
    struct elf_object object = {.source = archive->source, .member = name, .offset = offset, .size = size};
    return elf_visit_object(&object, visit, context);
}

void elf_visit_members(struct elf_source *source, elf_object_visit *visit, void *context)
{
    struct archive archive = {.source = source, .whole = {.source = source, .size = source->size}};
    struct ar_hdr header;
    uint64_t length;
    bool goes_on = true;
    for (uint64_t at = SARMAG; goes_on && source->size - at >= sizeof header; at += length + (length & 1)) {
        if (!elf_read(&archive.whole, at, &header, sizeof header))
            return;
        at += sizeof header;
        if (memcmp(header.ar_fmag, ARFMAG, sizeof header.ar_fmag) != 0 ||
            !read_decimal(header.ar_size, sizeof header.ar_size, &length) || length > source->size - at) {
            struct elf_object rest = {.source = source, .member = "the rest"};
            visit(context, &rest, "the archive is damaged from here on");
            return;
        }
        if (memcmp(header.ar_name, "// ", 3) == 0) {
            archive.names = at;
            archive.names_size = length;
        } else if (memcmp(header.ar_name, "/ ", 2) != 0 && memcmp(header.ar_name, "/SYM64/", 7) != 0) {
            goes_on = visit_member(&archive, &header, at, length, visit, context);
        }
        if (length == source->size - at)
            return;
    }
}
