/* unwind.c: the functions that .eh_frame lists. libdw splits the table into entries; nothing that the table says is
 * trusted.
 *
 * SOURCES: Linux Standard Base 5.0, 10.6 (.eh_frame, pointer encodings); x86-64 psABI 4.4 (relocations). */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/gather/eh_pointer.h"
#include "functions.h"
#include "tools/support/array.h"

/* Compilers write at most six letters. A longer augmentation string would be read again and again. */
#define AUGMENTATION_MOST 15

/* The field stands first: array_count_below. */
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

/* Whether the augmentation string of a common entry ends where compilers end it: after length, number and version. */
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
                             dwarf_cfi_cie_p(&entry) && eh_pointer_encoding(&entry.cie, &unwind->encoding);
    return unwind->encoding_known;
}

static const struct relocation *relocation_of(const struct unwind *unwind, uint64_t field)
{
    const struct relocation *relocations = unwind->relocations;
    size_t at = array_count_below(relocations, unwind->relocation_count, sizeof *relocations, field);
    return at < unwind->relocation_count && relocations[at].field == field ? &relocations[at] : NULL;
}

/* In a relocatable object: the target of the relocation of the field at `offset`. */
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

/* Adds the function of one entry. A function in an unknown encoding is left out, so its code is not trusted. */
static void add_entry(const struct unwind *unwind, const Dwarf_FDE *entry, struct functions *functions)
{
    const uint8_t *at = entry->start;
    uint64_t offset = (uint64_t)(at - unwind->bytes), start, size;
    uint8_t application = unwind->encoding & EH_POINTER_APPLICATION;
    if ((unwind->encoding & EH_POINTER_INDIRECT) || (application != DW_EH_PE_absptr && application != DW_EH_PE_pcrel) ||
        !eh_pointer_read(&at, entry->end, unwind->encoding, &start) ||
        !eh_pointer_read(&at, entry->end, unwind->encoding & EH_POINTER_FORMAT & ~DW_EH_PE_signed, &size))
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
