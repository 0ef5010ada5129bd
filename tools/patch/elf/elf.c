/* elf.c: the sections of ELF files that matter for patching, read by hand: of a file of gigabytes only what is
 * needed is in memory. Nothing that the file says is trusted.
 *
 * SOURCES: System V ABI, chapter 4 (header, sections, notes); x86-64 psABI 4.2 (.eh_frame's section type). */
#include "elf.h"

#include <ar.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/patch/files/budget.h"
#include "functions.h"

#define HEADERS_AT_ONCE 1024
/* More sections with code than any compiler makes: a function each in a hundred source files of a megabyte. */
#define SECTIONS_MOST (1u << 20)
/* Longer than the names that are looked for. */
#define NAME_SIZE 32
#define NOTES_MOST (1u << 20)
#define PLACE_ALIGNMENT 64

/* A section that is not read: that it is there says enough. */
#define ELF_GO_MARK 0xff

static const char damaged[] = "its section headers are damaged";

/* --- Reading. --- */

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

/* --- Sections. --- */

/* What of an object's headers is used while its sections are found. */
struct table {
    const struct elf_object *object;
    uint64_t count, names_offset, names_size;
};

static void read_name(const struct table *table, const Elf64_Shdr *header, char name[NAME_SIZE])
{
    uint64_t left = header->sh_name < table->names_size ? table->names_size - header->sh_name : 0;
    size_t size = left < NAME_SIZE - 1 ? (size_t)left : NAME_SIZE - 1;
    memset(name, 0, NAME_SIZE);
    if (size && !elf_read(table->object, table->names_offset + header->sh_name, name, size))
        name[0] = 0;
}

static bool has_bytes(const struct elf_object *object, const Elf64_Shdr *header)
{
    return header->sh_type != SHT_NOBITS && header->sh_type != SHT_NULL && header->sh_offset <= object->size &&
           header->sh_size <= object->size - header->sh_offset;
}

static bool is_code(const struct elf_object *object, const Elf64_Shdr *header)
{
    return (header->sh_flags & SHF_EXECINSTR) && header->sh_type == SHT_PROGBITS && has_bytes(object, header) &&
           !(header->sh_flags & SHF_COMPRESSED);
}

/* Whether the section is one that is read, and what it is. */
static bool find_kind(const struct table *table, const Elf64_Shdr *header, uint8_t *kind)
{
    char name[NAME_SIZE];
    if (!has_bytes(table->object, header) || header->sh_size == 0 || (header->sh_flags & SHF_COMPRESSED))
        return false;
    switch (header->sh_type) {
    case SHT_SYMTAB:
    case SHT_DYNSYM:
        *kind = ELF_SYMBOLS;
        return true;
    case SHT_RELA:
        *kind = ELF_RELOCATIONS;
        return true;
    case SHT_PROGBITS:
    case SHT_X86_64_UNWIND:
        break;
    default:
        return false;
    }
    *kind = ELF_CODE;
    if (is_code(table->object, header))
        return true;
    if (!(header->sh_flags & SHF_ALLOC))
        return false;
    read_name(table, header, name);
    static const struct {
        const char *name;
        uint8_t kind;
    } names[] = {
        {".eh_frame", ELF_UNWIND},     {".gopclntab", ELF_GO},   {".data.rel.ro.gopclntab", ELF_GO},
        {".data.rel.ro", ELF_GO_DATA}, {".rodata", ELF_GO_DATA}, {".go.buildinfo", ELF_GO_MARK},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0) {
            *kind = names[i].kind;
            return true;
        }
    return false;
}

/* What the headers have shown, for what is refused by them. */
struct seen {
    bool has_code, has_code_elsewhere, has_empty_code;
};

static void look_at(struct seen *seen, const struct elf_object *object, const Elf64_Shdr *header)
{
    bool executes = header->sh_flags & SHF_EXECINSTR;
    seen->has_code |= is_code(object, header);
    seen->has_code_elsewhere |=
        executes && header->sh_type == SHT_PROGBITS && header->sh_size && !is_code(object, header);
    seen->has_empty_code |= executes && header->sh_type == SHT_NOBITS;
}

static void add_section(struct elf_object *object, const Elf64_Shdr *header, uint32_t number, uint8_t kind)
{
    size_t count = object->section_count;
    /* Grows by doubling: its capacity is the next power of two. */
    if ((count & (count - 1)) == 0) {
        object->sections = realloc(object->sections, (count ? 2 * count : 1) * sizeof *object->sections);
        if (!object->sections)
            abort();
    }
    object->sections[object->section_count++] = (struct elf_section){
        .offset = header->sh_offset,
        .size = header->sh_size,
        .base = header->sh_addr,
        .address = header->sh_addr,
        .number = number,
        .link = header->sh_link,
        .info = header->sh_info,
        .kind = kind,
        .is_loaded = header->sh_flags & SHF_ALLOC,
    };
}

static bool read_headers(const struct table *table, struct elf_object *object, struct seen *seen)
{
    Elf64_Shdr *headers = malloc(HEADERS_AT_ONCE * sizeof *headers);
    bool done = headers != NULL;
    for (uint64_t first = 0; done && first < table->count; first += HEADERS_AT_ONCE) {
        uint64_t left = table->count - first;
        size_t count = left < HEADERS_AT_ONCE ? (size_t)left : HEADERS_AT_ONCE;
        done = elf_read(object, object->header.e_shoff + first * sizeof *headers, headers, count * sizeof *headers);
        for (size_t i = 0; done && i < count; i++) {
            uint8_t kind;
            look_at(seen, object, &headers[i]);
            if (!find_kind(table, &headers[i], &kind))
                continue;
            if (kind == ELF_GO_MARK)
                object->is_go = true;
            else
                add_section(object, &headers[i], (uint32_t)(first + i), kind);
            done = object->section_count <= SECTIONS_MOST;
        }
    }
    free(headers);
    return done;
}

static int compare_offsets(const void *left, const void *right)
{
    const struct elf_section *a = left, *b = right;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int compare_bases(const void *left, const void *right)
{
    uint64_t a = ((const struct segue_extent *)left)->start, b = ((const struct segue_extent *)right)->start;
    return a < b ? -1 : a > b;
}

/* Code that is loaded at the same address twice: a function would be one of both. */
static bool addresses_overlap(const struct elf_object *object)
{
    struct segue_extent *extents = malloc((object->section_count + 1) * sizeof *extents);
    size_t count = 0;
    bool overlap = false;
    if (!extents)
        abort();
    for (size_t i = 0; i < object->section_count; i++) {
        const struct elf_section *section = &object->sections[i];
        if (section->kind != ELF_CODE || !section->is_loaded)
            continue;
        extents[count++] = (struct segue_extent){section->base, section->base + section->size};
        overlap |= section->base + section->size < section->base;
    }
    qsort(extents, count, sizeof *extents, compare_bases);
    for (size_t i = 1; i < count; i++)
        overlap |= extents[i].start < extents[i - 1].end;
    free(extents);
    return overlap;
}

static int compare_numbers(const void *left, const void *right, void *context)
{
    const struct elf_section *sections = context;
    uint32_t a = sections[*(const uint32_t *)left].number, b = sections[*(const uint32_t *)right].number;
    return a < b ? -1 : a > b;
}

/* Forgets data in which nothing is looked for. */
static void drop_data(struct elf_object *object)
{
    bool has_table = false;
    size_t kept = 0;
    for (size_t i = 0; i < object->section_count; i++)
        has_table |= object->sections[i].kind == ELF_GO;
    for (size_t i = 0; i < object->section_count; i++)
        if (object->sections[i].kind != ELF_GO_DATA || (object->is_go && !has_table && !object->is_relocatable))
            object->sections[kept++] = object->sections[i];
    object->section_count = kept;
}

/* Sorts the sections, and gives those of a relocatable object places. */
static const char *arrange(struct elf_object *object)
{
    drop_data(object);
    struct elf_section *sections = object->sections;
    size_t count = object->section_count;
    uint64_t place = PLACE_ALIGNMENT;
    object->by_number = malloc((count + 1) * sizeof *object->by_number);
    if (!object->by_number)
        abort();
    if (count)
        qsort(sections, count, sizeof *sections, compare_offsets);
    for (size_t i = 0; i < count; i++)
        object->by_number[i] = (uint32_t)i;
    qsort_r(object->by_number, count, sizeof *object->by_number, compare_numbers, sections);
    for (size_t i = 1; i < object->section_count; i++)
        if (sections[i].offset < sections[i - 1].offset + sections[i - 1].size)
            return "it is damaged: sections of its code, or of what tells of it, lie over each other";
    for (size_t i = 0; object->is_relocatable && i < object->section_count; i++) {
        sections[i].base = place;
        place += (sections[i].size + 2 * PLACE_ALIGNMENT) & ~(uint64_t)(PLACE_ALIGNMENT - 1);
    }
    return addresses_overlap(object) ? "it is damaged: sections of its code lie over each other in memory" : NULL;
}

const struct elf_section *elf_section_numbered(const struct elf_object *object, uint32_t number)
{
    size_t low = 0, high = object->section_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct elf_section *section = &object->sections[object->by_number[middle]];
        if (section->number == number)
            return section;
        if (section->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const char *find_sections(struct elf_object *object)
{
    const Elf64_Ehdr *header = &object->header;
    struct table table = {.object = object, .count = header->e_shnum};
    struct seen seen = {0};
    Elf64_Shdr first, names;
    if (header->e_shoff == 0)
        return "it has no section headers, so what of it is code cannot be told";
    if (header->e_shentsize != sizeof first || !elf_read(object, header->e_shoff, &first, sizeof first))
        return damaged;
    if (table.count == 0)
        table.count = first.sh_size;
    if (table.count <= 1)
        return "it has no section headers, so what of it is code cannot be told";
    uint64_t names_number = header->e_shstrndx == SHN_XINDEX ? first.sh_link : header->e_shstrndx;
    if (table.count > (object->size - header->e_shoff) / sizeof first)
        return damaged;
    if (names_number < table.count && names_number != SHN_UNDEF &&
        elf_read(object, header->e_shoff + names_number * sizeof names, &names, sizeof names) &&
        has_bytes(object, &names)) {
        table.names_offset = names.sh_offset;
        table.names_size = names.sh_size;
    }
    if (!read_headers(&table, object, &seen))
        return object->section_count > SECTIONS_MOST ? "it has more sections than can be looked at" : damaged;
    if (!seen.has_code && seen.has_code_elsewhere)
        return "a section of its code does not lie in the file: it is damaged, or compressed";
    if (!seen.has_code && seen.has_empty_code)
        return "it is a separate debug file: it holds no code, and fits the patched file as it is";
    return arrange(object);
}

/* --- The build-id. --- */

static uint64_t padded(uint64_t size)
{
    return (size + 3) & ~(uint64_t)3;
}

/* Looks for it in notes at `offset`. */
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

/* --- Objects. --- */

/* Why this object cannot be patched; NULL if it can. */
static const char *refuse(struct elf_object *object)
{
    Elf64_Ehdr *header = &object->header;
    /* The header of a 32-bit file is shorter. */
    if (!elf_read(object, 0, header, sizeof(Elf32_Ehdr)) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return "it is no ELF object";
    if (header->e_machine == EM_386)
        return "it is 32-bit code, in which nothing goes through FS that GS could take over";
    if (header->e_machine != EM_X86_64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return "it is for another processor";
    if (header->e_ident[EI_CLASS] != ELFCLASS64)
        return "it is for the x32 ABI, which is not known here";
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN && header->e_type != ET_REL)
        return "it is neither an executable, nor a shared object, nor a relocatable one";
    if (!elf_read(object, 0, header, sizeof *header))
        return damaged;
    object->is_relocatable = header->e_type == ET_REL;
    return find_sections(object);
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

bool elf_objects(struct elf_source *source, elf_object_visit *visit, void *context)
{
    static const char thin[] = "!<thin>\n";
    struct elf_object object = {.source = source, .size = source->size};
    char magic[SARMAG] = {0};
    if (!elf_read(&object, 0, magic, source->size < SARMAG ? (size_t)source->size : SARMAG))
        return false;
    if (memcmp(magic, thin, SARMAG) == 0)
        visit(context, &object, "it is a thin archive, which holds no members but names of files; patch those");
    else if (memcmp(magic, ARMAG, SARMAG) == 0)
        elf_visit_members(source, visit, context);
    else if (memcmp(magic, ELFMAG, SELFMAG) == 0)
        elf_visit_object(&object, visit, context);
    else
        return false;
    return true;
}

/* --- Code. --- */

static bool read_functions(const struct elf_object *object, struct functions *functions)
{
    bool done = true;
    for (size_t i = 0; done && i < object->section_count; i++)
        if (object->sections[i].kind == ELF_UNWIND)
            done = functions_from_unwind(object, &object->sections[i], functions);
    functions_sort(functions);
    for (size_t i = 0; done && i < object->section_count; i++)
        if ((object->sections[i].kind == ELF_GO || object->sections[i].kind == ELF_GO_DATA) && !object->is_relocatable)
            done = functions_from_go(object, &object->sections[i], functions);
    return done && functions_from_symbols(object, functions);
}

static enum segue_status visit_section(const struct elf_object *object, const struct elf_section *section,
                                       const struct functions *functions, elf_code_visit *visit, void *context)
{
    uint8_t *owned;
    budget_take(section->size);
    struct elf_code_section found = {
        .code = {.bytes = elf_section_bytes(object, section, &owned), .size = section->size, .address = section->base},
        .file_offset = object->offset + section->offset,
        .address = section->address,
    };
    if (section->is_loaded)
        found.code.functions =
            functions_select(functions, section->base, section->base + section->size, &found.code.function_count);
    enum segue_status status = found.code.bytes ? visit(context, &found) : SEGUE_INVALID;
    free(owned);
    budget_give_back(section->size);
    return status;
}

enum segue_status elf_object_code(const struct elf_object *object, elf_code_visit *visit, void *context)
{
    struct functions functions = {0};
    enum segue_status status = read_functions(object, &functions) ? SEGUE_OK : SEGUE_INVALID;
    for (size_t i = 0; status == SEGUE_OK && i < object->section_count; i++)
        if (object->sections[i].kind == ELF_CODE)
            status = visit_section(object, &object->sections[i], &functions, visit, context);
    functions_free(&functions);
    return status;
}
