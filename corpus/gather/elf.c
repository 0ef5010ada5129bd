/* elf.c: finds the code of an ELF file by its unwind tables.
 *
 * SOURCES: Linux Standard Base Core 5.0, 10.6 (.eh_frame); libdw splits the table into entries. */
#include "elf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eh_pointer.h"

static bool add_range(struct corpus_elf *elf, const struct corpus_range *range)
{
    if (elf->count == elf->capacity) {
        size_t capacity = elf->capacity ? elf->capacity * 2 : 1024;
        struct corpus_range *bigger = realloc(elf->ranges, capacity * sizeof *bigger);
        if (!bigger)
            return false;
        elf->ranges = bigger;
        elf->capacity = capacity;
    }
    elf->ranges[elf->count++] = *range;
    return true;
}

/* The file's bytes at an address in an executable section, or NULL. `size` is cut to the section. */
static const uint8_t *code_at(struct corpus_elf *elf, uint64_t address, size_t *size)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(elf->elf, section))) {
        if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_EXECINSTR) || header.sh_type != SHT_PROGBITS ||
            address < header.sh_addr || address - header.sh_addr >= header.sh_size)
            continue;
        const Elf_Data *data = elf_rawdata(section, NULL);
        uint64_t offset = address - header.sh_addr;
        if (!data || !data->d_buf || offset >= data->d_size)
            return NULL;
        if (*size > data->d_size - offset)
            *size = data->d_size - offset;
        return (const uint8_t *)data->d_buf + offset;
    }
    return NULL;
}

/* The range of one FDE. False if its encoding is unknown, or if the range is not code of this file. */
static bool fde_range(struct corpus_elf *elf, const Elf_Data *data, uint64_t section, const Dwarf_FDE *fde,
                      uint8_t encoding, struct corpus_range *range)
{
    const uint8_t *at = fde->start;
    uint64_t address, size;
    uint8_t application = encoding & EH_POINTER_APPLICATION;
    if ((encoding & EH_POINTER_INDIRECT) || (application != DW_EH_PE_absptr && application != DW_EH_PE_pcrel) ||
        !eh_pointer_read(&at, fde->end, encoding, &address) ||
        !eh_pointer_read(&at, fde->end, encoding & EH_POINTER_FORMAT & ~DW_EH_PE_signed, &size))
        return false;
    if (application == DW_EH_PE_pcrel)
        address += section + (uint64_t)(fde->start - (const uint8_t *)data->d_buf);
    range->address = address;
    range->size = (size_t)size;
    range->bytes = range->size ? code_at(elf, address, &range->size) : NULL;
    return range->bytes != NULL;
}

static bool read_table(struct corpus_elf *elf, const unsigned char *ident, Elf_Data *data, uint64_t section)
{
    Dwarf_Off offset = 0, next = 0;
    Dwarf_CFI_Entry entry, cie;
    struct corpus_range range;
    uint8_t encoding;
    for (int result; (result = dwarf_next_cfi(ident, data, true, offset, &next, &entry)) != 1; offset = next) {
        Dwarf_Off after;
        if (result < 0 && next <= offset)
            return true;
        if (result < 0 || dwarf_cfi_cie_p(&entry))
            continue;
        if (dwarf_next_cfi(ident, data, true, entry.fde.CIE_pointer, &after, &cie) == 0 && dwarf_cfi_cie_p(&cie) &&
            eh_pointer_encoding(&cie.cie, &encoding) && fde_range(elf, data, section, &entry.fde, encoding, &range) &&
            !add_range(elf, &range))
            return false;
    }
    return true;
}

static bool read_tables(struct corpus_elf *elf)
{
    size_t names;
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    const unsigned char *ident = (const unsigned char *)elf_getident(elf->elf, NULL);
    if (elf_getshdrstrndx(elf->elf, &names) != 0)
        return true;
    while ((section = elf_nextscn(elf->elf, section))) {
        const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf->elf, names, header.sh_name) : NULL;
        Elf_Data *data =
            name && strcmp(name, ".eh_frame") == 0 && header.sh_type != SHT_NOBITS ? elf_rawdata(section, NULL) : NULL;
        if (data && data->d_buf && !read_table(elf, ident, data, header.sh_addr))
            return false;
    }
    return true;
}

static int by_address(const void *left, const void *right)
{
    const struct corpus_range *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

/* Sorts the ranges, and cuts each where the next begins. */
static void sort_ranges(struct corpus_elf *elf)
{
    size_t kept = 0;
    if (elf->count == 0)
        return;
    qsort(elf->ranges, elf->count, sizeof *elf->ranges, by_address);
    for (size_t i = 0; i < elf->count; i++) {
        struct corpus_range *before = kept ? &elf->ranges[kept - 1] : NULL, *range = &elf->ranges[i];
        if (before && before->address == range->address) {
            before->size = before->size > range->size ? before->size : range->size;
            continue;
        }
        if (before && before->address + before->size > range->address)
            before->size = range->address - before->address;
        elf->ranges[kept++] = *range;
    }
    elf->count = kept;
}

/* The range that holds the address; NULL if none of the first `count` does. */
static struct corpus_range *find_range(struct corpus_elf *elf, size_t count, uint64_t address)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (elf->ranges[middle].address + elf->ranges[middle].size <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && elf->ranges[low].address <= address ? &elf->ranges[low] : NULL;
}

/* Begins a new range at every function symbol within one. */
static bool split_at_symbols(struct corpus_elf *elf)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    GElf_Sym symbol;
    size_t count = elf->count;
    while ((section = elf_nextscn(elf->elf, section))) {
        if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 0; data && gelf_getsym(data, i, &symbol); i++) {
            unsigned type = GELF_ST_TYPE(symbol.st_info);
            if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF)
                continue;
            const struct corpus_range *range = find_range(elf, count, symbol.st_value);
            if (!range || range->address == symbol.st_value)
                continue;
            uint64_t skip = symbol.st_value - range->address;
            struct corpus_range tail = {range->bytes + skip, range->size - skip, symbol.st_value};
            if (!add_range(elf, &tail))
                return false;
        }
    }
    return true;
}

static enum corpus_elf_status find_code(struct corpus_elf *elf, const char *path, struct corpus_error *error)
{
    GElf_Ehdr header;
    if (elf_kind(elf->elf) != ELF_K_ELF || !gelf_getehdr(elf->elf, &header) || header.e_machine != EM_X86_64 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type == ET_REL || header.e_type == ET_CORE)
        return CORPUS_ELF_OTHER;
    bool ok = read_tables(elf);
    sort_ranges(elf);
    ok = ok && split_at_symbols(elf);
    sort_ranges(elf);
    if (!ok)
        corpus_error_memory(error);
    else if (elf->count == 0)
        corpus_error_set(error, NULL, path, ": no unwind table (.eh_frame) that covers code");
    return ok && elf->count ? CORPUS_ELF_OK : CORPUS_ELF_FAILED;
}

enum corpus_elf_status corpus_elf_open(struct corpus_elf *elf, const char *path, struct corpus_error *error)
{
    memset(elf, 0, sizeof *elf);
    elf_version(EV_CURRENT);
    elf->file = open(path, O_RDONLY | O_CLOEXEC);
    if (elf->file < 0) {
        corpus_error_system(error, "cannot open ", path);
        return CORPUS_ELF_FAILED;
    }
    /* The file is not mapped: if it is truncated meanwhile, a mapping would end the command by a signal. All of it is
     * read before any part, since libelf 0.188's elf_end otherwise loses what was read by parts. */
    elf->elf = elf_begin(elf->file, ELF_C_READ, NULL);
    bool is_whole = elf->elf && elf_kind(elf->elf) == ELF_K_ELF && elf_rawfile(elf->elf, NULL);
    enum corpus_elf_status status = is_whole ? find_code(elf, path, error) : CORPUS_ELF_OTHER;
    if (status != CORPUS_ELF_OK)
        corpus_elf_close(elf);
    return status;
}

void corpus_elf_close(struct corpus_elf *elf)
{
    elf_end(elf->elf);
    close(elf->file);
    free(elf->ranges);
    memset(elf, 0, sizeof *elf);
}
