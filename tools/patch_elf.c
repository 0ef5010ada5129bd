/* patch_elf.c: code and functions of ELF files. libelf finds the sections, libdw takes the unwind table apart; nothing
 * that the file says is trusted.
 *
 * SOURCES: System V ABI, chapter 4 (sections, archives' members by ar(5)); Linux Standard Base 5.0, 10.6 (.eh_frame,
 * pointer encodings); x86-64 psABI 4.4 (relocations). */
#include "patch_elf.h"

#include <ar.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_FORMAT 0x0f
#define POINTER_APPLICATION 0x70
#define POINTER_INDIRECT 0x80
#define NO_SECTION SIZE_MAX

/* A function, and in a relocatable object the section that it is in: addresses begin at 0 in each. */
struct function {
    struct segue_extent extent;
    size_t section;
};

struct functions {
    struct function *list;
    size_t count, capacity;
};

/* One unwind table being read. */
struct unwind {
    const struct elf_object *object;
    const uint8_t *bytes;
    size_t size;
    uint64_t address;
    /* In a relocatable object: its relocations and symbols; else NULL. */
    Elf_Data *relocations, *symbols;
    size_t relocation_count, next_relocation;
    /* The last common entry, and the encoding that it gives. */
    Dwarf_Off common;
    uint8_t encoding;
    bool encoding_known;
};

/* --- Functions. --- */

static void functions_add(struct functions *functions, size_t section, uint64_t start, uint64_t size)
{
    if (size == 0 || start + size < start)
        return;
    if (functions->count == functions->capacity) {
        functions->capacity = functions->capacity ? 2 * functions->capacity : 1024;
        functions->list = realloc(functions->list, functions->capacity * sizeof *functions->list);
        if (!functions->list)
            abort();
    }
    functions->list[functions->count++] = (struct function){{start, start + size}, section};
}

static bool goes_before(const struct function *left, const struct function *right)
{
    if (left->section != right->section)
        return left->section < right->section;
    return left->extent.start < right->extent.start;
}

static int compare(const void *left, const void *right)
{
    return goes_before(left, right) ? -1 : goes_before(right, left);
}

/* Deals the functions out: to `sorted` those that do not go before the last one there, to `others` the rest. Returns
 * how many the former are. */
static size_t functions_split(const struct functions *functions, struct function *sorted, struct function *others)
{
    size_t in_order = 0;
    for (size_t i = 0; i < functions->count; i++) {
        if (in_order && goes_before(&functions->list[i], &sorted[in_order - 1]))
            others[i - in_order] = functions->list[i];
        else
            sorted[in_order++] = functions->list[i];
    }
    return in_order;
}

static bool is_sorted(const struct function *list, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (goes_before(&list[i], &list[i - 1]))
            return false;
    return true;
}

/* Linkers leave two sorted sequences in one: the functions, and their parts that are seldom run, which lie elsewhere.
 */
static void functions_sort(struct functions *functions)
{
    size_t count = functions->count, left = 0, right = 0;
    struct function *list = functions->list;
    if (is_sorted(list, count))
        return;
    struct function *sorted = malloc(2 * count * sizeof *sorted), *others = sorted + count;
    if (!sorted)
        abort();
    size_t in_order = functions_split(functions, sorted, others), over = count - in_order;
    if (!is_sorted(others, over))
        qsort(others, over, sizeof *others, compare);
    for (size_t i = 0; i < count; i++) {
        bool take_other = left == in_order || (right < over && goes_before(&others[right], &sorted[left]));
        list[i] = take_other ? others[right++] : sorted[left++];
    }
    free(sorted);
}

/* --- Pointers in the table. --- */

/* Reads the pointer at `*at` in `format` and moves on. False where it is cut off, or in a format that no compiler uses
 * here. */
static bool read_pointer(const uint8_t **at, const uint8_t *end, uint8_t format, uint64_t *value)
{
    static const uint8_t sizes[16] = {
        [DW_EH_PE_absptr] = 8, [DW_EH_PE_udata2] = 2, [DW_EH_PE_udata4] = 4, [DW_EH_PE_udata8] = 8,
        [DW_EH_PE_sdata2] = 2, [DW_EH_PE_sdata4] = 4, [DW_EH_PE_sdata8] = 8,
    };
    size_t size = sizes[format & POINTER_FORMAT];
    if (size == 0 || (size_t)(end - *at) < size)
        return false;
    *value = 0;
    memcpy(value, *at, size);
    *at += size;
    if ((format & DW_EH_PE_signed) && size < 8 && (*value >> (8 * size - 1) & 1))
        *value |= ~(uint64_t)0 << 8 * size;
    return true;
}

/* The encoding of an entry's addresses, from its common entry's augmentation. */
static bool read_encoding(const Dwarf_CIE *common, uint8_t *encoding)
{
    const uint8_t *at = common->augmentation_data, *end = at + common->augmentation_data_size;
    uint64_t personality;
    *encoding = DW_EH_PE_absptr;
    if (common->augmentation[0] != 'z')
        return common->augmentation[0] == 0;
    for (const char *letter = common->augmentation + 1; *letter; letter++) {
        if (*letter == 'S' || *letter == 'B')
            continue;
        if (at >= end)
            return false;
        uint8_t byte = *at++;
        if (*letter == 'R')
            *encoding = byte;
        else if (*letter == 'P' && !read_pointer(&at, end, byte, &personality))
            return false;
        else if (*letter != 'P' && *letter != 'L')
            return false;
    }
    return true;
}

static bool find_encoding(struct unwind *unwind, const unsigned char *identification, Elf_Data *data, Dwarf_Off offset)
{
    Dwarf_CFI_Entry entry;
    Dwarf_Off next;
    if (unwind->common == offset)
        return unwind->encoding_known;
    unwind->common = offset;
    unwind->encoding_known = dwarf_next_cfi(identification, data, true, offset, &next, &entry) == 0 &&
                             dwarf_cfi_cie_p(&entry) && read_encoding(&entry.cie, &unwind->encoding);
    return unwind->encoding_known;
}

/* In a relocatable object: what the relocation of the field at `offset` leads to. */
static bool find_relocated(struct unwind *unwind, uint64_t offset, size_t *section, uint64_t *start)
{
    GElf_Rela rela;
    GElf_Sym symbol;
    for (size_t i = 0; i < unwind->relocation_count; i++) {
        /* They stand in the order of the fields, as a rule. */
        size_t number = (unwind->next_relocation + i) % unwind->relocation_count;
        if (!gelf_getrela(unwind->relocations, (int)number, &rela) || rela.r_offset != offset)
            continue;
        unwind->next_relocation = number + 1;
        if (!gelf_getsym(unwind->symbols, (int)GELF_R_SYM(rela.r_info), &symbol) || symbol.st_shndx == SHN_UNDEF ||
            symbol.st_shndx >= SHN_LORESERVE)
            return false;
        *section = symbol.st_shndx;
        *start = symbol.st_value + (uint64_t)rela.r_addend;
        return true;
    }
    return false;
}

/* Adds the function of one entry. What is in no encoding that is known is left out: it will not be trusted. */
static void add_entry(struct unwind *unwind, const Dwarf_FDE *entry, struct functions *functions)
{
    const uint8_t *at = entry->start;
    uint64_t offset = (uint64_t)(at - unwind->bytes), start, size;
    size_t section = NO_SECTION;
    uint8_t application = unwind->encoding & POINTER_APPLICATION;
    if ((unwind->encoding & POINTER_INDIRECT) || (application != DW_EH_PE_absptr && application != DW_EH_PE_pcrel) ||
        !read_pointer(&at, entry->end, unwind->encoding, &start) ||
        !read_pointer(&at, entry->end, unwind->encoding & POINTER_FORMAT & ~DW_EH_PE_signed, &size))
        return;
    if (unwind->relocations) {
        if (!find_relocated(unwind, offset, &section, &start))
            return;
    } else if (application == DW_EH_PE_pcrel) {
        start += unwind->address + offset;
    }
    functions_add(functions, section, start, size);
}

static void read_unwind(struct unwind *unwind, struct functions *functions)
{
    const unsigned char *identification = unwind->object->bytes;
    Elf_Data data = {.d_buf = (void *)(uintptr_t)unwind->bytes,
                     .d_type = ELF_T_BYTE,
                     .d_version = EV_CURRENT,
                     .d_size = unwind->size};
    Dwarf_CFI_Entry entry;
    Dwarf_Off next;
    unwind->common = (Dwarf_Off)-1;
    for (Dwarf_Off offset = 0; dwarf_next_cfi(identification, &data, true, offset, &next, &entry) == 0; offset = next) {
        if (next <= offset)
            return;
        if (!dwarf_cfi_cie_p(&entry) && find_encoding(unwind, identification, &data, entry.fde.CIE_pointer))
            add_entry(unwind, &entry.fde, functions);
    }
}

/* --- Sections. --- */

static const char *section_name(const struct elf_object *object, const GElf_Shdr *header)
{
    size_t names;
    const char *name = NULL;
    if (elf_getshdrstrndx(object->elf, &names) == 0)
        name = elf_strptr(object->elf, names, header->sh_name);
    return name ? name : "";
}

static bool has_bytes(const struct elf_object *object, const GElf_Shdr *header)
{
    return header->sh_type != SHT_NOBITS && header->sh_type != SHT_NULL && header->sh_offset <= object->size &&
           header->sh_size <= object->size - header->sh_offset;
}

static bool is_code(const struct elf_object *object, const GElf_Shdr *header)
{
    return (header->sh_flags & SHF_EXECINSTR) && header->sh_type == SHT_PROGBITS && has_bytes(object, header) &&
           !(header->sh_flags & SHF_COMPRESSED);
}

/* Finds the relocations of section `number`, and their symbols. */
static void find_relocations(const struct elf_object *object, size_t number, struct unwind *unwind)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header, symbols;
    while ((section = elf_nextscn(object->elf, section)) != NULL) {
        if (!gelf_getshdr(section, &header) || header.sh_type != SHT_RELA || header.sh_info != number ||
            header.sh_entsize == 0)
            continue;
        Elf_Scn *symbol_section = elf_getscn(object->elf, header.sh_link);
        if (!symbol_section || !gelf_getshdr(symbol_section, &symbols) || symbols.sh_type != SHT_SYMTAB)
            continue;
        unwind->symbols = elf_getdata(symbol_section, NULL);
        unwind->relocations = unwind->symbols ? elf_getdata(section, NULL) : NULL;
        unwind->relocation_count = unwind->relocations ? header.sh_size / header.sh_entsize : 0;
    }
}

static void read_functions(const struct elf_object *object, bool is_relocatable, struct functions *functions)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(object->elf, section)) != NULL) {
        if (!gelf_getshdr(section, &header) || !has_bytes(object, &header) ||
            strcmp(section_name(object, &header), ".eh_frame") != 0)
            continue;
        struct unwind unwind = {
            .object = object,
            .bytes = object->bytes + header.sh_offset,
            .size = header.sh_size,
            .address = header.sh_addr,
        };
        if (is_relocatable)
            find_relocations(object, elf_ndxscn(section), &unwind);
        if (!is_relocatable || unwind.relocations)
            read_unwind(&unwind, functions);
    }
    functions_sort(functions);
}

/* The functions in one section, as segue_scan wants them. */
static size_t select_functions(const struct functions *functions, size_t section, uint64_t start, uint64_t end,
                               struct segue_extent *extents)
{
    size_t count = 0;
    for (size_t i = 0; i < functions->count; i++) {
        const struct function *function = &functions->list[i];
        if (function->section == section && function->extent.start >= start && function->extent.start < end)
            extents[count++] = function->extent;
    }
    return count;
}

enum segue_status elf_object_code(const struct elf_object *object, elf_code_visit *visit, void *context)
{
    struct functions functions = {0};
    enum segue_status status = SEGUE_OK;
    Elf_Scn *section = NULL;
    GElf_Ehdr file;
    GElf_Shdr header;
    if (!gelf_getehdr(object->elf, &file))
        return SEGUE_INVALID;
    bool is_relocatable = file.e_type == ET_REL;
    read_functions(object, is_relocatable, &functions);
    struct segue_extent *extents = calloc(functions.count + 1, sizeof *extents);
    if (!extents)
        abort();
    while (status == SEGUE_OK && (section = elf_nextscn(object->elf, section)) != NULL) {
        if (!gelf_getshdr(section, &header) || !is_code(object, &header))
            continue;
        size_t number = is_relocatable ? elf_ndxscn(section) : NO_SECTION;
        struct segue_code code = {
            .bytes = object->bytes + header.sh_offset,
            .size = header.sh_size,
            .address = header.sh_addr,
            .functions = extents,
            .function_count =
                select_functions(&functions, number, header.sh_addr, header.sh_addr + header.sh_size, extents),
        };
        status = visit(context, &code, object->offset + header.sh_offset, section_name(object, &header));
    }
    free(extents);
    free(functions.list);
    return status;
}

/* --- Objects. --- */

static void read_build_id(struct elf_object *object)
{
    const void *id;
    ssize_t size = dwelf_elf_gnu_build_id(object->elf, &id);
    object->build_id[0] = 0;
    for (ssize_t i = 0; i < size && (size_t)(2 * i + 2) < sizeof object->build_id; i++)
        snprintf(object->build_id + 2 * i, 3, "%02x", ((const uint8_t *)id)[i]);
}

static const char *refuse_by_sections(const struct elf_object *object)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    bool has_empty_code = false;
    while ((section = elf_nextscn(object->elf, section)) != NULL) {
        if (!gelf_getshdr(section, &header))
            return "its section headers are damaged";
        if (is_code(object, &header))
            return NULL;
        if ((header.sh_flags & SHF_EXECINSTR) && header.sh_type == SHT_PROGBITS && header.sh_size)
            return "a section of its code does not lie in the file: it is damaged, or compressed";
        has_empty_code |= (header.sh_flags & SHF_EXECINSTR) && header.sh_type == SHT_NOBITS;
    }
    if (has_empty_code)
        return "it is a separate debug file: it holds no code, and fits the patched file as it is";
    return NULL;
}

/* Why this object cannot be patched; NULL if it can. */
static const char *refuse(const struct elf_object *object)
{
    GElf_Ehdr header;
    size_t sections;
    if (elf_kind(object->elf) != ELF_K_ELF || !gelf_getehdr(object->elf, &header))
        return "it is no ELF object";
    if (header.e_machine == EM_386)
        return "it is 32-bit code, in which nothing goes through FS that GS could take over";
    if (header.e_machine != EM_X86_64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        return "it is for another processor";
    if (header.e_ident[EI_CLASS] != ELFCLASS64)
        return "it is for the x32 ABI, which is not known here";
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN && header.e_type != ET_REL)
        return "it is neither an executable, nor a shared object, nor a relocatable one";
    if (elf_getshdrnum(object->elf, &sections) != 0)
        return "its section headers are damaged";
    if (sections <= 1)
        return "it has no section headers, so what of it is code cannot be told";
    return refuse_by_sections(object);
}

static bool visit_object(struct elf_object *object, elf_object_visit *visit, void *context)
{
    const char *refusal = refuse(object);
    if (!refusal)
        read_build_id(object);
    return visit(context, object, refusal);
}

/* --- Archives. libelf 0.188 reads no members from memory (docs/facts.md). --- */

#define MEMBER_NAME 256

struct archive {
    const uint8_t *bytes;
    size_t size;
    /* The table of names that are too long for a header. */
    const char *names;
    size_t names_size;
};

/* A decimal number, filled up with blanks; false if it is none. */
static bool read_decimal(const char *text, size_t width, uint64_t *number)
{
    size_t at = 0;
    for (*number = 0; at < width && text[at] >= '0' && text[at] <= '9'; at++)
        *number = 10 * *number + (uint64_t)(text[at] - '0');
    return at > 0 && (at == width || text[at] == ' ' || text[at] == '\n');
}

/* The name ends at a slash, here or in the table: "/N" leads there. */
static void read_member_name(const struct archive *archive, const struct ar_hdr *header, char name[MEMBER_NAME])
{
    const char *from = header->ar_name;
    size_t length = sizeof header->ar_name;
    uint64_t offset;
    if (from[0] == '/' && read_decimal(from + 1, length - 1, &offset) && offset < archive->names_size) {
        from = archive->names + offset;
        length = archive->names_size - offset;
    }
    size_t end = 0;
    while (end < length && end < MEMBER_NAME - 1 && from[end] != '/' && from[end] != '\n')
        end++;
    memcpy(name, from, end);
    name[end] = 0;
}

static bool visit_member(const struct archive *archive, const struct ar_hdr *header, size_t offset, size_t size,
                         elf_object_visit *visit, void *context)
{
    char name[MEMBER_NAME];
    read_member_name(archive, header, name);
    struct elf_object object = {
        .elf = elf_memory((char *)(uintptr_t)archive->bytes + offset, size),
        .member = name,
        .bytes = archive->bytes + offset,
        .size = size,
        .offset = offset,
    };
    bool goes_on = object.elf ? visit_object(&object, visit, context) : visit(context, &object, "it is no ELF object");
    elf_end(object.elf);
    return goes_on;
}

static void visit_members(const uint8_t *bytes, size_t size, elf_object_visit *visit, void *context)
{
    struct archive archive = {.bytes = bytes, .size = size};
    const struct ar_hdr *header;
    uint64_t length;
    bool goes_on = true;
    for (size_t at = SARMAG; goes_on && size - at >= sizeof *header; at += length + (length & 1)) {
        header = (const struct ar_hdr *)(const void *)(bytes + at);
        at += sizeof *header;
        if (memcmp(header->ar_fmag, ARFMAG, sizeof header->ar_fmag) != 0 ||
            !read_decimal(header->ar_size, sizeof header->ar_size, &length) || length > size - at) {
            struct elf_object rest = {.bytes = bytes, .member = "the rest"};
            visit(context, &rest, "the archive is damaged from here on");
            return;
        }
        if (memcmp(header->ar_name, "// ", 3) == 0) {
            archive.names = (const char *)bytes + at;
            archive.names_size = length;
        } else if (memcmp(header->ar_name, "/ ", 2) != 0 && memcmp(header->ar_name, "/SYM64/", 7) != 0) {
            goes_on = visit_member(&archive, header, at, length, visit, context);
        }
        if (length == size - at)
            return;
    }
}

/* --- All of them. --- */

/* A file that holds no object is told as one that is refused. */
static void visit_none(const uint8_t *bytes, size_t size, const char *refusal, elf_object_visit *visit, void *context)
{
    struct elf_object object = {.bytes = bytes, .size = size};
    visit(context, &object, refusal);
}

bool elf_objects(const uint8_t *bytes, size_t size, elf_object_visit *visit, void *context)
{
    static const char thin[] = "!<thin>\n";
    if (size >= sizeof thin - 1 && memcmp(bytes, thin, sizeof thin - 1) == 0) {
        visit_none(bytes, size, "it is a thin archive, which holds no members but names of files; patch those", visit,
                   context);
        return true;
    }
    elf_version(EV_CURRENT);
    if (size >= SARMAG && memcmp(bytes, ARMAG, SARMAG) == 0) {
        visit_members(bytes, size, visit, context);
        return true;
    }
    Elf *elf = elf_memory((char *)(uintptr_t)bytes, size);
    bool is_elf = elf && elf_kind(elf) == ELF_K_ELF;
    struct elf_object object = {.elf = elf, .bytes = bytes, .size = size};
    if (is_elf)
        visit_object(&object, visit, context);
    elf_end(elf);
    return is_elf;
}
