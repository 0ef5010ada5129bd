/* elf_code.c: code in an ELF file, by virtual address or by symbol. libelf reads the file; nothing in it is trusted.
 *
 * SOURCES: System V ABI, chapters 4 and 5; GNU symbol versioning (Drepper, ELF Symbol Versioning): a name may be
 * defined in several versions, and the one that is not hidden is what a program gets today. */
#include "elf_code.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_cut.h"
#include "elf_names.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"

#define VERSION_HIDDEN 0x8000

/* Standard input as a file that can be read anywhere; -1 and errno if not. */
static int copy_of_input(void)
{
    static char buffer[65536];
    ssize_t got;
    int file = memfd_create("standard input", MFD_CLOEXEC);
    while (file >= 0 && (got = read(STDIN_FILENO, buffer, sizeof buffer)) != 0) {
        if (got > 0 && write(file, buffer, (size_t)got) == got)
            continue;
        if (got < 0 && errno == EINTR)
            continue;
        close(file);
        return -1;
    }
    return file;
}

static bool open_file(struct elf_code *elf)
{
    struct stat status;
    if (strcmp(elf->path, ELF_CODE_INPUT) == 0)
        elf->file = copy_of_input();
    else
        /* Opening a pipe without a writer would wait. */
        elf->file = open(elf->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (elf->file < 0 || fstat(elf->file, &status) != 0) {
        complain(elf->verb, "cannot open %s: %s", elf->path, strerror(errno));
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        complain(elf->verb, "%s is not a regular file; give an ELF executable or shared object", elf->path);
        return false;
    }
    elf_version(EV_CURRENT);
    elf->command = ELF_C_READ;
    elf->elf = elf_begin(elf->file, elf->command, NULL);
    if (!elf->elf) {
        complain(elf->verb, "cannot read %s: %s", elf->path, elf_errmsg(-1));
        return false;
    }
    return true;
}

/* Whether it is an ELF file, of any processor. */
static bool check_kind(struct elf_code *elf, GElf_Ehdr *header)
{
    if (elf_kind(elf->elf) != ELF_K_ELF || !gelf_getehdr(elf->elf, header)) {
        elf->image = (const uint8_t *)elf_rawfile(elf->elf, &elf->image_size);
        if (elf->image && elf_cut_header(elf))
            return false;
    }
    if (elf_kind(elf->elf) != ELF_K_ELF) {
        complain(elf->verb, "%s is not an ELF file; give an ELF executable or shared object, or bytes in hex",
                 elf->path);
        return false;
    }
    if (!gelf_getehdr(elf->elf, header)) {
        complain(elf->verb, "%s has a damaged ELF header: %s", elf->path, elf_errmsg(-1));
        return false;
    }
    elf->is_relocatable = header->e_type == ET_REL;
    elf->is_fixed = header->e_type == ET_EXEC || header->e_type == ET_CORE;
    return true;
}

static bool take_machine(struct elf_code *elf, const GElf_Ehdr *header)
{
    elf->mode = header->e_machine == EM_X86_64 ? SEGUE_MODE_64 : SEGUE_MODE_32;
    return header->e_machine == EM_X86_64 || header->e_machine == EM_386;
}

static bool check_machine(struct elf_code *elf, const GElf_Ehdr *header)
{
    if (take_machine(elf, header))
        return true;
    complain(elf->verb, "%s is for another processor (ELF machine %u); only x86 code can be explained", elf->path,
             header->e_machine);
    return false;
}

/* The whole file is read before any part of it: elf_end of libelf 0.188 loses what was read by parts otherwise. */
static bool read_image(struct elf_code *elf)
{
    elf->image = (const uint8_t *)elf_rawfile(elf->elf, &elf->image_size);
    if (!elf->image)
        complain(elf->verb, "cannot read %s: %s", elf->path, elf_errmsg(-1));
    return elf->image;
}

bool elf_code_open(struct elf_code *elf, const char *verb, const char *path)
{
    GElf_Ehdr header;
    *elf = (struct elf_code){.verb = verb, .path = path, .file = -1};
    bool ok = open_file(elf);
    if (ok && elf_kind(elf->elf) == ELF_K_AR) {
        ok = read_image(elf);
        elf->archive = elf->elf;
        elf->elf = NULL;
    } else {
        ok = ok && check_kind(elf, &header) && check_machine(elf, &header) && read_image(elf);
    }
    if (ok)
        return true;
    elf_code_close(elf);
    return false;
}

bool elf_code_next_member(struct elf_code *elf, const char *name)
{
    for (;;) {
        GElf_Ehdr header;
        if (elf->elf) {
            elf->command = elf_next(elf->elf);
            elf_end(elf->elf);
        }
        elf->elf = elf_begin(elf->file, elf->command, elf->archive);
        const Elf_Arhdr *member = elf->elf ? elf_getarhdr(elf->elf) : NULL;
        if (!member)
            return false;
        snprintf(elf->member, sizeof elf->member, "%s", member->ar_name ? member->ar_name : "");
        if ((name && strcmp(elf->member, name) != 0) || elf_kind(elf->elf) != ELF_K_ELF ||
            !gelf_getehdr(elf->elf, &header) || !take_machine(elf, &header))
            continue;
        elf->is_relocatable = header.e_type == ET_REL;
        elf->image = (const uint8_t *)elf_rawfile(elf->elf, &elf->image_size);
        if (elf->image)
            return true;
    }
}

void elf_code_close(struct elf_code *elf)
{
    if (elf->elf)
        elf_end(elf->elf);
    if (elf->archive)
        elf_end(elf->archive);
    elf->archive = NULL;
    if (elf->file >= 0)
        close(elf->file);
    elf->elf = NULL;
    elf->file = -1;
}

/* The bytes that the file has for the rest of a segment from `address` on. */
static bool bytes_of_segment(const struct elf_code *elf, const GElf_Phdr *segment, uint64_t address, struct code *code)
{
    uint64_t skipped = address - segment->p_vaddr;
    if (segment->p_offset > elf->image_size || elf->image_size - segment->p_offset <= skipped) {
        complain(elf->verb,
                 "%s is cut short: the bytes of address 0x%" PRIx64 " are at offset 0x%" PRIx64
                 ", and the file ends at 0x%zx, after %zu byte%s; give the whole file",
                 elf->path, address, segment->p_offset + skipped, elf->image_size, elf->image_size,
                 plural(elf->image_size));
        return false;
    }
    uint64_t in_file = elf->image_size - segment->p_offset;
    uint64_t size = (segment->p_filesz < in_file ? segment->p_filesz : in_file) - skipped;
    *code = (struct code){
        .mode = elf->mode,
        .bytes = elf->image + segment->p_offset + skipped,
        .size = size,
        .address = address,
        .address_known = true,
        .address_fixed = elf->is_fixed,
    };
    return true;
}

bool elf_code_at(const struct elf_code *elf, uint64_t address, struct code *code)
{
    size_t count = 0;
    bool is_zeroed = false;
    if (elf->is_relocatable) {
        complain(elf->verb, "%s is a relocatable object, whose code has no addresses yet; give a symbol or a section",
                 elf->path);
        return false;
    }
    if (elf_cut_segments(elf))
        return false;
    elf_getphdrnum(elf->elf, &count);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf->elf, (int)i, &segment) || segment.p_type != PT_LOAD)
            continue;
        if (address - segment.p_vaddr < segment.p_filesz) {
            if (!(segment.p_flags & PF_X))
                complain(elf->verb, "note: address 0x%" PRIx64 " of %s is not executable: it is hardly code", address,
                         elf->path);
            return bytes_of_segment(elf, &segment, address, code);
        }
        is_zeroed = is_zeroed || address - segment.p_vaddr < segment.p_memsz;
    }
    if (is_zeroed)
        complain(elf->verb,
                 "address 0x%" PRIx64 " of %s has no bytes in the file: it is zeroed memory, or the file holds debug "
                 "information alone",
                 address, elf->path);
    else
        complain(elf->verb, "address 0x%" PRIx64 " is not in %s; `readelf -lW` lists its segments", address, elf->path);
    return false;
}

bool elf_code_of(const struct elf_code *elf, const struct elf_symbol *symbol, uint64_t offset, struct code *code)
{
    GElf_Shdr header;
    if (!elf->is_relocatable)
        return elf_code_at(elf, symbol->address + offset, code);
    Elf_Scn *section = elf_getscn(elf->elf, symbol->section);
    uint64_t at = symbol->address + offset;
    if (section && gelf_getshdr(section, &header) && header.sh_type != SHT_NOBITS &&
        elf_cut_bytes(elf, "section with that place", header.sh_offset, header.sh_size))
        return false;
    if (!section || !gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS || at >= header.sh_size ||
        header.sh_offset > elf->image_size || elf->image_size - header.sh_offset < header.sh_size) {
        complain(elf->verb, "%s has no bytes for that place", elf->path);
        return false;
    }
    *code = (struct code){.mode = elf->mode, .bytes = elf->image + header.sh_offset + at, .size = header.sh_size - at};
    return true;
}

/* The versions of a dynamic symbol table; NULL where it has no versions. */
static Elf_Data *versions_of(const struct elf_code *elf, size_t table)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf->elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_GNU_versym && header.sh_link == table)
            return elf_getdata(section, NULL);
    }
    return NULL;
}

/* What a search has come to so far. */
struct search {
    const char *name;
    /* Compare with what the symbols are called in C++ and Rust. */
    bool demangles;
    GElf_Sym best;
    /* How good `best` is; 0: nothing was found. */
    int rank;
    /* Another of the same rank at another place. */
    bool is_ambiguous;
    uint64_t other_address;
    bool is_imported;
};

/* Compares up to the version that a static symbol table keeps behind an @. */
static bool is_called(const char *entry, const char *name)
{
    size_t length = strlen(name);
    return entry && strncmp(entry, name, length) == 0 && (entry[length] == 0 || entry[length] == '@');
}

/* Global goes before weak before local, and the version of today before older ones. */
static int rank_of(const GElf_Sym *symbol, const char *entry, bool is_hidden)
{
    const char *version = strchr(entry, '@');
    bool is_old = is_hidden || (version && version[1] != '@');
    int binding = GELF_ST_BIND(symbol->st_info) == STB_LOCAL ? 1 : GELF_ST_BIND(symbol->st_info) == STB_WEAK ? 2 : 3;
    return 2 * binding + (is_old ? 0 : 1);
}

static void consider(struct search *search, const GElf_Sym *symbol, const char *entry, bool is_hidden)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    if (type == STT_SECTION || type == STT_FILE ||
        !(search->demangles ? names_are_one(entry, search->name) : is_called(entry, search->name)))
        return;
    if (symbol->st_shndx == SHN_UNDEF) {
        search->is_imported = true;
        return;
    }
    int rank = rank_of(symbol, entry, is_hidden);
    if (rank > search->rank) {
        search->best = *symbol;
        search->rank = rank;
        search->is_ambiguous = false;
    } else if (rank == search->rank &&
               (symbol->st_value != search->best.st_value || symbol->st_shndx != search->best.st_shndx)) {
        search->is_ambiguous = true;
        search->other_address = symbol->st_value;
    }
}

static void search_table(const struct elf_code *elf, Elf_Scn *section, const GElf_Shdr *header, struct search *search)
{
    Elf_Data *symbols = elf_getdata(section, NULL);
    Elf_Data *versions = header->sh_type == SHT_DYNSYM ? versions_of(elf, elf_ndxscn(section)) : NULL;
    size_t entry_size = gelf_fsize(elf->elf, ELF_T_SYM, 1, EV_CURRENT);
    size_t count = symbols && entry_size ? symbols->d_size / entry_size : 0;
    for (size_t i = 1; i < count && i <= INT32_MAX; i++) {
        GElf_Sym symbol;
        GElf_Versym version = 0;
        if (!gelf_getsym(symbols, (int)i, &symbol))
            continue;
        if (versions && !gelf_getversym(versions, (int)i, &version))
            version = 0;
        consider(search, &symbol, elf_strptr(elf->elf, header->sh_link, symbol.st_name), version & VERSION_HIDDEN);
    }
}

/* Says what keeps a symbol that was found from being explained. */
static bool check_found(const struct elf_code *elf, const struct search *search)
{
    unsigned type = GELF_ST_TYPE(search->best.st_info);
    if (search->is_ambiguous) {
        complain(elf->verb,
                 "%s has several symbols '%s', two of them at 0x%" PRIx64 " and 0x%" PRIx64 "; give the address",
                 elf->path, search->name, search->best.st_value, search->other_address);
        return false;
    }
    if (type == STT_OBJECT || type == STT_COMMON || type == STT_TLS) {
        complain(elf->verb, "'%s' in %s is data, not code; give its address to have it read as code all the same",
                 search->name, elf->path);
        return false;
    }
    return true;
}

static void search_tables(const struct elf_code *elf, struct search *search)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf->elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
            search_table(elf, section, &header, search);
    }
}

/* A section by its name: ".text". */
static bool find_section(const struct elf_code *elf, const char *name, struct elf_symbol *symbol)
{
    size_t names = 0;
    Elf_Scn *section = NULL;
    if (*name != '.' || elf_getshdrstrndx(elf->elf, &names) != 0)
        return false;
    while ((section = elf_nextscn(elf->elf, section))) {
        GElf_Shdr header;
        const char *found = gelf_getshdr(section, &header) ? elf_strptr(elf->elf, names, header.sh_name) : NULL;
        if (!found || strcmp(found, name) != 0 || !(header.sh_flags & SHF_ALLOC))
            continue;
        *symbol =
            (struct elf_symbol){.address = header.sh_addr, .section = elf_ndxscn(section), .size = header.sh_size};
        return true;
    }
    return false;
}

enum elf_lookup elf_code_symbol(const struct elf_code *elf, const char *name, struct elf_symbol *symbol)
{
    struct search search = {.name = name};
    if (find_section(elf, name, symbol) || elf_plt_find(elf, name, symbol))
        return ELF_LOOKUP_FOUND;
    search_tables(elf, &search);
    if (search.rank == 0 && !search.is_imported) {
        search.demangles = true;
        search_tables(elf, &search);
    }
    /* Of an archive another member may define it. */
    if (search.rank == 0 && search.is_imported && !elf->archive) {
        complain(elf->verb,
                 "'%s' is only used by %s, not defined there; look in the library that defines it, or at '%s@plt' for "
                 "the stub that calls it",
                 name, elf->path, name);
        return ELF_LOOKUP_FAILED;
    }
    if (search.rank == 0)
        return ELF_LOOKUP_NOT_FOUND;
    if (!check_found(elf, &search))
        return ELF_LOOKUP_FAILED;
    *symbol = (struct elf_symbol){
        .address = search.best.st_value,
        .section = search.best.st_shndx,
        .size = search.best.st_size,
        .is_resolver = GELF_ST_TYPE(search.best.st_info) == STT_GNU_IFUNC,
    };
    return ELF_LOOKUP_FOUND;
}
