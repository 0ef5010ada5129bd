/* object.c: one ELF object: whether it can be patched, and its build-id.
 *
 * SOURCES: System V ABI, chapter 4 (header, notes). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sections.h"

#define NOTES_MOST (1u << 20)

static uint64_t padded(uint64_t size)
{
    return (size + 3) & ~(uint64_t)3;
}

/* Looks for the build-id in the notes at `offset`. */
static bool find_build_id(struct elf_object *object, uint64_t offset, uint64_t size)
{
    Elf64_Nhdr note;
    uint8_t bytes[4 + 64];
    if (size > NOTES_MOST)
        size = NOTES_MOST;
    for (uint64_t at = 0; at + sizeof note <= size;) {
        if (!elf_read(object, offset + at, &note, sizeof note))
            return false;
        at += sizeof note;
        uint64_t contents = padded(note.n_namesz), next = at + contents + padded(note.n_descsz);
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz > 0 && note.n_descsz <= 64 &&
            next <= padded(size) && elf_read(object, offset + at, bytes, 4 + note.n_descsz) &&
            memcmp(bytes, "GNU", 4) == 0) {
            for (uint32_t i = 0; i < note.n_descsz; i++)
                sprintf(object->build_id + 2 * i, "%02x", bytes[4 + i]);
            return true;
        }
        at = next;
    }
    return false;
}

static void read_build_id(struct elf_object *object)
{
    const Elf64_Ehdr *header = &object->header;
    Elf64_Phdr segment;
    Elf64_Shdr section;
    for (uint64_t i = 0; i < header->e_phnum && header->e_phentsize == sizeof segment; i++)
        if (elf_read(object, header->e_phoff + i * sizeof segment, &segment, sizeof segment) &&
            segment.p_type == PT_NOTE && find_build_id(object, segment.p_offset, segment.p_filesz))
            return;
    for (uint64_t i = 1; header->e_phnum == 0 && i < header->e_shnum; i++)
        if (elf_read(object, header->e_shoff + i * sizeof section, &section, sizeof section) &&
            section.sh_type == SHT_NOTE && find_build_id(object, section.sh_offset, section.sh_size))
            return;
}

/* Why this object cannot be patched; NULL if it can. */
static const char *refuse(struct elf_object *object)
{
    Elf64_Ehdr *header = &object->header;
    /* The header of a 32-bit file is shorter. */
    if (!elf_read(object, 0, header, sizeof(Elf32_Ehdr)) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return "it is not an ELF object";
    if (header->e_machine == EM_386)
        return "it is 32-bit code, in which nothing goes through FS that GS could take over";
    if (header->e_machine != EM_X86_64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return "it is for another processor";
    if (header->e_ident[EI_CLASS] != ELFCLASS64)
        return "it is for the x32 ABI, which is not known here";
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN && header->e_type != ET_REL)
        return "it is neither an executable, nor a shared object, nor a relocatable one";
    if (!elf_read(object, 0, header, sizeof *header))
        return SECTIONS_DAMAGED;
    object->is_relocatable = header->e_type == ET_REL;
    return sections_find(object);
}

bool elf_visit_object(struct elf_object *object, elf_object_visit *visit, void *context)
{
    const char *refusal = refuse(object);
    if (!refusal)
        read_build_id(object);
    bool goes_on = visit(context, object, refusal) && !object->source->error;
    free(object->sections);
    free(object->by_number);
    object->sections = NULL;
    object->by_number = NULL;
    object->section_count = 0;
    return goes_on;
}
