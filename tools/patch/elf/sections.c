/* sections.c: the sections of ELF files that matter for patching, read without libelf: of a file of gigabytes, only the
 * parts that are needed are in memory. Nothing that the file says is trusted.
 *
 * SOURCES: System V ABI, chapter 4 (sections); x86-64 psABI 4.2 (.eh_frame's section type). */
#include "sections.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_AT_ONCE 1024
/* More sections with code than any compiler makes: a function each in a hundred source files of a megabyte. */
#define SECTIONS_MOST (1u << 20)
/* Longer than the names that are looked for. */
#define NAME_SIZE 32
#define PLACE_ALIGNMENT 64

/* A section whose presence suffices: its bytes are not read. */
#define ELF_GO_MARK 0xff

/* The parts of an object's headers that are needed while its sections are found. */
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

/* What the headers contain: decides about a refusal. */
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

/* Whether two sections are loaded at the same address: then a function could be in either. */
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

/* Drops the data sections that are not searched. Go's table is looked for in data only if the program is Go's, is not
 * relocatable, and has no section of that table. */
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

/* Sorts the sections, and gives those of a relocatable object addresses. */
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
            return "it is damaged: sections of its code, or of the tables that describe it, overlap";
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

const char *sections_find(struct elf_object *object)
{
    const Elf64_Ehdr *header = &object->header;
    struct table table = {.object = object, .count = header->e_shnum};
    struct seen seen = {0};
    Elf64_Shdr first, names;
    if (header->e_shoff == 0)
        return "it has no section headers, which are needed to find its code";
    if (header->e_shentsize != sizeof first || !elf_read(object, header->e_shoff, &first, sizeof first))
        return SECTIONS_DAMAGED;
    if (table.count == 0)
        table.count = first.sh_size;
    if (table.count <= 1)
        return "it has no section headers, which are needed to find its code";
    uint64_t names_number = header->e_shstrndx == SHN_XINDEX ? first.sh_link : header->e_shstrndx;
    if (table.count > (object->size - header->e_shoff) / sizeof first)
        return SECTIONS_DAMAGED;
    if (names_number < table.count && names_number != SHN_UNDEF &&
        elf_read(object, header->e_shoff + names_number * sizeof names, &names, sizeof names) &&
        has_bytes(object, &names)) {
        table.names_offset = names.sh_offset;
        table.names_size = names.sh_size;
    }
    if (!read_headers(&table, object, &seen))
        return object->section_count > SECTIONS_MOST ? "it has more sections than can be looked at" : SECTIONS_DAMAGED;
    if (!seen.has_code && seen.has_code_elsewhere)
        return "a section of its code does not lie in the file: it is damaged, or compressed";
    if (!seen.has_code && seen.has_empty_code)
        return "it is a separate debug file: it holds no code, and fits the patched file as it is";
    return arrange(object);
}
