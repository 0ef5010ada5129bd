/* unwind.c: the functions that .eh_frame knows. libdw takes the table apart; nothing that it says is trusted.
 *
 * SOURCES: Linux Standard Base 5.0, 10.6 (.eh_frame, pointer encodings); x86-64 psABI 4.4 (relocations). */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"

#define POINTER_FORMAT 0x0f
#define POINTER_APPLICATION 0x70
#define POINTER_INDIRECT 0x80
/* Compilers give at most six letters. A longer text would be read again and again. */
#define AUGMENTATION_MOST 15

struct relocation {
    uint64_t field;
    uint64_t addend;
    uint32_t symbol;
};

/* One table being read. */
struct unwind {
    const struct elf_object *object;
    const uint8_t *bytes;
    size_t size;
    uint64_t address;
    /* In a relocatable object: its relocations, sorted, and its symbols. */
    struct relocation *relocations;
    size_t relocation_count;
    const Elf64_Sym *symbols;
    size_t symbol_count;
    uint8_t *owned_symbols;
    /* The last common entry, and the encoding that it gives. */
    Dwarf_Off common;
    uint8_t encoding;
    bool encoding_known;
};

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

/* Whether the text that says what a common entry holds ends where compilers end it: behind length, number and version.
 */
static bool has_short_augmentation(const struct unwind *unwind, Dwarf_Off offset)
{
    Dwarf_Off text = offset + 9;
    if (text >= unwind->size)
        return false;
    size_t left = unwind->size - text;
    return memchr(unwind->bytes + text, 0, left < AUGMENTATION_MOST ? left : AUGMENTATION_MOST) != NULL;
}

static bool find_encoding(struct unwind *unwind, Elf_Data *data, Dwarf_Off offset)
{
    Dwarf_CFI_Entry entry;
    Dwarf_Off next;
    if (unwind->common == offset)
        return unwind->encoding_known;
    unwind->common = offset;
    unwind->encoding_known = has_short_augmentation(unwind, offset) &&
                             dwarf_next_cfi(unwind->object->header.e_ident, data, true, offset, &next, &entry) == 0 &&
                             dwarf_cfi_cie_p(&entry) && read_encoding(&entry.cie, &unwind->encoding);
    return unwind->encoding_known;
}

static const struct relocation *relocation_of(const struct unwind *unwind, uint64_t field)
{
    size_t low = 0, high = unwind->relocation_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (unwind->relocations[middle].field < field)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unwind->relocation_count && unwind->relocations[low].field == field ? &unwind->relocations[low] : NULL;
}

/* In a relocatable object: what the relocation of the field at `offset` leads to. */
static bool find_relocated(const struct unwind *unwind, uint64_t offset, uint64_t *start)
{
    const struct relocation *relocation = relocation_of(unwind, offset);
    if (!relocation || relocation->symbol >= unwind->symbol_count)
        return false;
    Elf64_Sym symbol;
    memcpy(&symbol, &unwind->symbols[relocation->symbol], sizeof symbol);
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= SHN_LORESERVE)
        return false;
    const struct elf_section *section = elf_section_numbered(unwind->object, symbol.st_shndx);
    uint64_t within = symbol.st_value + relocation->addend;
    if (!section || section->kind != ELF_CODE || within >= section->size)
        return false;
    *start = section->base + within;
    return true;
}

/* Adds the function of one entry. What is in no encoding that is known is left out: it will not be trusted. */
static void add_entry(const struct unwind *unwind, const Dwarf_FDE *entry, struct functions *functions)
{
    const uint8_t *at = entry->start;
    uint64_t offset = (uint64_t)(at - unwind->bytes), start, size;
    uint8_t application = unwind->encoding & POINTER_APPLICATION;
    if ((unwind->encoding & POINTER_INDIRECT) || (application != DW_EH_PE_absptr && application != DW_EH_PE_pcrel) ||
        !read_pointer(&at, entry->end, unwind->encoding, &start) ||
        !read_pointer(&at, entry->end, unwind->encoding & POINTER_FORMAT & ~DW_EH_PE_signed, &size))
        return;
    if (unwind->object->is_relocatable) {
        if (!find_relocated(unwind, offset, &start))
            return;
    } else if (application == DW_EH_PE_pcrel) {
        start += unwind->address + offset;
    }
    functions_add(functions, start, size);
}

static void read_entries(struct unwind *unwind, struct functions *functions)
{
    Elf_Data data = {.d_buf = (void *)(uintptr_t)unwind->bytes,
                     .d_type = ELF_T_BYTE,
                     .d_version = EV_CURRENT,
                     .d_size = unwind->size};
    Dwarf_CFI_Entry entry;
    Dwarf_Off next;
    unwind->common = (Dwarf_Off)-1;
    for (Dwarf_Off offset = 0; dwarf_next_cfi(unwind->object->header.e_ident, &data, true, offset, &next, &entry) == 0;
         offset = next) {
        if (next <= offset)
            return;
        if (!dwarf_cfi_cie_p(&entry) && find_encoding(unwind, &data, entry.fde.CIE_pointer))
            add_entry(unwind, &entry.fde, functions);
    }
}

static int compare_fields(const void *left, const void *right)
{
    uint64_t a = ((const struct relocation *)left)->field, b = ((const struct relocation *)right)->field;
    return a < b ? -1 : a > b;
}

static bool read_relocations(struct unwind *unwind, const struct elf_section *section)
{
    uint8_t *owned;
    const uint8_t *bytes = elf_section_bytes(unwind->object, section, &owned);
    size_t count = section->size / sizeof(Elf64_Rela);
    unwind->relocations = malloc((count + 1) * sizeof *unwind->relocations);
    if (!unwind->relocations)
        abort();
    for (size_t i = 0; bytes && i < count; i++) {
        Elf64_Rela rela;
        memcpy(&rela, bytes + i * sizeof rela, sizeof rela);
        unwind->relocations[i] =
            (struct relocation){rela.r_offset, (uint64_t)rela.r_addend, (uint32_t)ELF64_R_SYM(rela.r_info)};
    }
    free(owned);
    unwind->relocation_count = count;
    qsort(unwind->relocations, count, sizeof *unwind->relocations, compare_fields);
    return bytes != NULL;
}

/* Finds the relocations of a table, and their symbols. */
static bool find_relocations(struct unwind *unwind, uint32_t number)
{
    const struct elf_object *object = unwind->object;
    for (size_t i = 0; i < object->section_count; i++) {
        const struct elf_section *section = &object->sections[i];
        if (section->kind != ELF_RELOCATIONS || section->info != number)
            continue;
        const struct elf_section *symbols = elf_section_numbered(object, section->link);
        if (!symbols || symbols->kind != ELF_SYMBOLS)
            return true;
        unwind->symbols = (const Elf64_Sym *)(const void *)elf_section_bytes(object, symbols, &unwind->owned_symbols);
        unwind->symbol_count = unwind->symbols ? symbols->size / sizeof *unwind->symbols : 0;
        return read_relocations(unwind, section) && unwind->symbols;
    }
    return true;
}

bool functions_from_unwind(const struct elf_object *object, const struct elf_section *section,
                           struct functions *functions)
{
    uint8_t *owned;
    struct unwind unwind = {
        .object = object,
        .bytes = elf_section_bytes(object, section, &owned),
        .size = section->size,
        .address = section->address,
    };
    bool done = unwind.bytes && (!object->is_relocatable || find_relocations(&unwind, section->number));
    if (done)
        read_entries(&unwind, functions);
    free(unwind.relocations);
    free(unwind.owned_symbols);
    free(owned);
    return done;
}
