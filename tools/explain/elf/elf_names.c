/* elf_names.c: names that stand in no symbol table as a person writes them: those of C++ and Rust, which the linker
 * sees mangled, and those of the stubs in procedure linkage tables, which have none.
 *
 * SOURCES: Itanium C++ ABI, 5.1 (mangling), by way of libiberty; System V ABI for x86-64 and i386, chapter 5 (procedure
 * linkage table: a stub jumps through the slot that a relocation names). */
#include "elf_names.h"

#include <ctype.h>
#include <gelf.h>
#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

static bool is_mangled(const char *symbol)
{
    return symbol && symbol[0] == '_' && (symbol[1] == 'Z' || symbol[1] == 'R' || symbol[1] == '_');
}

static bool same_but_for_blanks(const char *left, const char *right)
{
    for (;;) {
        while (isspace((unsigned char)*left))
            left++;
        while (isspace((unsigned char)*right))
            right++;
        if (*left != *right)
            return false;
        if (!*left)
            return true;
        left++;
        right++;
    }
}

static bool is_demangled_to(const char *symbol, int options, const char *name)
{
    char *demangled = cplus_demangle(symbol, options);
    bool is_same = demangled && same_but_for_blanks(demangled, name);
    free(demangled);
    return is_same;
}

bool names_are_one(const char *symbol, const char *name)
{
    if (!is_mangled(symbol))
        return false;
    char *alone = strndup(symbol, strcspn(symbol, "@"));
    if (!alone)
        abort();
    /* Without DMGL_PARAMS what is in parentheses is left out. */
    bool is_same = is_demangled_to(alone, DMGL_AUTO | DMGL_ANSI | DMGL_PARAMS, name) ||
                   is_demangled_to(alone, DMGL_AUTO | DMGL_ANSI, name);
    free(alone);
    return is_same;
}

/* ---- stubs ---- */

static bool is_called(const char *entry, const char *name)
{
    size_t length = strlen(name);
    return entry && ((strncmp(entry, name, length) == 0 && (entry[length] == 0 || entry[length] == '@')) ||
                     names_are_one(entry, name));
}

static const char *symbol_name(const struct elf_code *elf, size_t table, size_t number)
{
    Elf_Scn *section = elf_getscn(elf->elf, table);
    GElf_Shdr header;
    GElf_Sym symbol;
    Elf_Data *symbols = section ? elf_getdata(section, NULL) : NULL;
    if (!symbols || number > INT32_MAX || !gelf_getshdr(section, &header) ||
        !gelf_getsym(symbols, (int)number, &symbol))
        return NULL;
    return elf_strptr(elf->elf, header.sh_link, symbol.st_name);
}

/* Whether a table of relocations gives the slot at `address` to `name`. */
static bool gives_slot(const struct elf_code *elf, Elf_Scn *section, const GElf_Shdr *header, uint64_t address,
                       const char *name)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;
    for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
        GElf_Rela with = {0};
        GElf_Rel without = {0};
        bool is_rela = header->sh_type == SHT_RELA;
        if (is_rela ? !gelf_getrela(data, (int)i, &with) : !gelf_getrel(data, (int)i, &without))
            continue;
        uint64_t offset = is_rela ? with.r_offset : without.r_offset, info = is_rela ? with.r_info : without.r_info;
        if (offset == address && is_called(symbol_name(elf, header->sh_link, GELF_R_SYM(info)), name))
            return true;
    }
    return false;
}

static bool is_slot_of(const struct elf_code *elf, uint64_t address, const char *name)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf->elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && (header.sh_type == SHT_RELA || header.sh_type == SHT_REL) &&
            gives_slot(elf, section, &header, address, name))
            return true;
    }
    return false;
}

/* Where the table of global offsets begins, by which 32-bit stubs reach their slots. */
static uint64_t global_offsets(const struct elf_code *elf, size_t names)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf->elf, section))) {
        GElf_Shdr header;
        const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf->elf, names, header.sh_name) : NULL;
        if (name && strcmp(name, ".got.plt") == 0)
            return header.sh_addr;
    }
    return 0;
}

/* The slot that an indirect jump of a stub goes through. */
static bool slot_of(const struct elf_code *elf, const struct segue_insn *insn, uint64_t next, uint64_t offsets,
                    uint64_t *slot)
{
    const struct segue_memory_operand *memory = &insn->memory[0];
    if (strcmp(segue_mnemonic_name(insn->mnemonic), "jmp") != 0 || insn->memory_count != 1)
        return false;
    *slot = (uint64_t)memory->displacement;
    if (memory->base == SEGUE_RIP)
        *slot += next;
    else if (memory->base == SEGUE_RBX && elf->mode == SEGUE_MODE_32)
        *slot = (uint32_t)(*slot + offsets);
    return true;
}

/* Looks through one table of stubs, each as large as the next. */
static bool find_stub(const struct elf_code *elf, const GElf_Shdr *header, const char *name, uint64_t offsets,
                      struct elf_symbol *symbol)
{
    uint64_t stub = header->sh_entsize == 8 || header->sh_entsize == 16 ? header->sh_entsize : 16, slot;
    struct segue_insn insn;
    if (header->sh_offset > elf->image_size || elf->image_size - header->sh_offset < header->sh_size)
        return false;
    const uint8_t *bytes = elf->image + header->sh_offset;
    for (uint64_t at = 0; at < header->sh_size; at += insn.length) {
        if (segue_decode(elf->mode, bytes + at, header->sh_size - at, &insn) != SEGUE_OK)
            return false;
        if (!slot_of(elf, &insn, header->sh_addr + at + insn.length, offsets, &slot) || !is_slot_of(elf, slot, name))
            continue;
        *symbol = (struct elf_symbol){.address = header->sh_addr + at / stub * stub, .size = stub};
        return true;
    }
    return false;
}

bool elf_plt_find(const struct elf_code *elf, const char *name, struct elf_symbol *symbol)
{
    static const char *const tables[] = {".plt.sec", ".plt", ".plt.got"};
    const char *end = strrchr(name, '@');
    size_t names;
    if (!end || end == name || strcmp(end, "@plt") != 0 || elf_getshdrstrndx(elf->elf, &names) != 0)
        return false;
    char *alone = strndup(name, (size_t)(end - name));
    if (!alone)
        abort();
    bool is_found = false;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !is_found; i++) {
        Elf_Scn *section = NULL;
        while (!is_found && (section = elf_nextscn(elf->elf, section))) {
            GElf_Shdr header;
            const char *found = gelf_getshdr(section, &header) ? elf_strptr(elf->elf, names, header.sh_name) : NULL;
            is_found = found && strcmp(found, tables[i]) == 0 && header.sh_type == SHT_PROGBITS &&
                       find_stub(elf, &header, alone, global_offsets(elf, names), symbol);
        }
    }
    free(alone);
    return is_found;
}
