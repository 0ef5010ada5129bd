/* elf_cut.c: SOURCES: System V ABI, chapter 4 (e_shnum of 0: the number is in section 0); ar(5) (ar.h). */
#include "elf_cut.h"

#include <ar.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/message.h"
#include "tools/support/plural.h"

bool elf_cut_bytes(const struct elf_code *elf, const char *what, uint64_t offset, uint64_t size)
{
    if (offset <= elf->image_size && elf->image_size - offset >= size)
        return false;
    complain(elf->verb,
             "%s%s%s%s is cut short: its %s (%" PRIu64 " byte%s at offset 0x%" PRIx64 ") should end at offset "
             "0x%" PRIx64 ", and the file ends at 0x%zx, after %zu byte%s; give the whole file",
             elf->path, elf->archive ? "(" : "", elf->archive ? elf->member : "", elf->archive ? ")" : "", what, size,
             plural(size), offset, offset + size, elf->image_size, elf->image_size, plural(elf->image_size));
    return true;
}

bool elf_cut_header(const struct elf_code *elf)
{
    bool is_32 = elf->image_size > EI_CLASS && elf->image[EI_CLASS] == ELFCLASS32;
    return elf->image_size >= SELFMAG && memcmp(elf->image, ELFMAG, SELFMAG) == 0 &&
           elf_cut_bytes(elf, "ELF header", 0, is_32 ? sizeof(Elf32_Ehdr) : sizeof(Elf64_Ehdr));
}

bool elf_cut_segments(const struct elf_code *elf)
{
    GElf_Ehdr header;
    return gelf_getehdr(elf->elf, &header) && header.e_phoff &&
           elf_cut_bytes(elf, "program header table", header.e_phoff,
                         (uint64_t)header.e_phnum * (header.e_phentsize ? header.e_phentsize : 1));
}

/* Section 0 has the number of all if the file's header has no room for it. */
static uint64_t section_count(const struct elf_code *elf, const GElf_Ehdr *header)
{
    bool is_32 = header->e_ident[EI_CLASS] == ELFCLASS32;
    size_t size = is_32 ? sizeof(Elf32_Shdr) : sizeof(Elf64_Shdr);
    if (header->e_shnum)
        return header->e_shnum;
    if (header->e_shoff > elf->image_size || elf->image_size - header->e_shoff < size)
        return 1;
    if (is_32) {
        Elf32_Shdr first;
        memcpy(&first, elf->image + header->e_shoff, sizeof first);
        return first.sh_size;
    }
    Elf64_Shdr first;
    memcpy(&first, elf->image + header->e_shoff, sizeof first);
    return first.sh_size;
}

static bool cut_section_headers(const struct elf_code *elf)
{
    GElf_Ehdr header;
    if (!gelf_getehdr(elf->elf, &header) || !header.e_shoff)
        return false;
    uint64_t count = section_count(elf, &header), size;
    if (__builtin_mul_overflow(count, (uint64_t)header.e_shentsize, &size))
        size = UINT64_MAX - header.e_shoff;
    return elf_cut_bytes(elf, "section header table", header.e_shoff, size);
}

static bool cut_tables(const struct elf_code *elf)
{
    static const struct {
        uint32_t type;
        const char *name;
    } tables[] = {{SHT_SYMTAB, "symbol table"}, {SHT_DYNSYM, "dynamic symbol table"}, {SHT_STRTAB, "string table"}};
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf->elf, section))) {
        GElf_Shdr header;
        if (!gelf_getshdr(section, &header))
            continue;
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
            if (header.sh_type == tables[i].type &&
                elf_cut_bytes(elf, tables[i].name, header.sh_offset, header.sh_size))
                return true;
    }
    return false;
}

/* The last member of an archive is the one that a cut leaves without its end. */
static bool cut_members(const struct elf_code *elf)
{
    size_t size = 0;
    const char *bytes = elf_rawfile(elf->archive, &size);
    struct elf_code whole = {.verb = elf->verb, .path = elf->path, .image_size = size};
    for (uint64_t at = SARMAG; bytes && at < size;) {
        struct ar_hdr header;
        char digits[sizeof header.ar_size + 1] = "";
        if (elf_cut_bytes(&whole, "member's header", at, sizeof header))
            return true;
        memcpy(&header, bytes + at, sizeof header);
        memcpy(digits, header.ar_size, sizeof header.ar_size);
        uint64_t length = strtoull(digits, NULL, 10);
        if (memcmp(header.ar_fmag, ARFMAG, sizeof header.ar_fmag) != 0)
            return false;
        if (elf_cut_bytes(&whole, "member", at + sizeof header, length))
            return true;
        at += sizeof header + length + length % 2;
    }
    return false;
}

bool elf_cut_symbols(const struct elf_code *elf)
{
    return elf->archive ? cut_members(elf) : cut_section_headers(elf) || cut_tables(elf);
}
