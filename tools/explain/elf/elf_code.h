/* elf_code.h: code in an ELF file, by virtual address or by symbol. */
#ifndef SEGUE_TOOLS_ELF_CODE_H
#define SEGUE_TOOLS_ELF_CODE_H

#include <libelf.h>

#include "tools/explain/instruction.h"

/* An open file; of an archive, one member at a time. Every function that fails has said why, in the name of `verb`. */
struct elf_code {
    const char *verb;
    const char *path;
    int file;
    /* NULL before the first member of an archive. */
    Elf *elf;
    /* The archive, or NULL; the member's name, and the command that libelf goes on with. */
    Elf *archive;
    char member[256];
    Elf_Cmd command;
    /* A relocatable object: its code has offsets in sections, and no addresses. */
    bool is_relocatable;
    /* It is loaded at its addresses and nowhere else. */
    bool is_fixed;
    /* All bytes of the file. */
    const uint8_t *image;
    size_t image_size;
    /* The processor's mode that the file's code is for. */
    enum segue_mode mode;
};

/* A symbol that is defined in the file and may be code. */
struct elf_symbol {
    /* Of a relocatable object, the offset in the section with that number. */
    uint64_t address;
    size_t section;
    /* 0 where the file does not say. */
    uint64_t size;
    /* The address is that of a function which picks the real one as the program starts (STT_GNU_IFUNC). */
    bool is_resolver;
};

#define ELF_CODE_INPUT "/dev/stdin"

/* Opens an executable, a shared object, a core file or a relocatable object for x86, or an archive of the latter;
 * ELF_CODE_INPUT is read as it comes. Of an archive there is no member yet. */
bool elf_code_open(struct elf_code *elf, const char *verb, const char *path);
void elf_code_close(struct elf_code *elf);

/* Goes on to the next member of an archive that is an object for x86, by the name if one is given. False at the end;
 * nothing was said. */
bool elf_code_next_member(struct elf_code *elf, const char *name);

/* The bytes from `address` to the end of what the file has in one piece. They live as long as the file is open. */
bool elf_code_at(const struct elf_code *elf, uint64_t address, struct code *code);

enum elf_lookup {
    ELF_LOOKUP_FOUND,
    /* Nothing was said. */
    ELF_LOOKUP_NOT_FOUND,
    ELF_LOOKUP_FAILED,
};

/* Finds a symbol by its name, given without a version: as the file has it, as C++ or Rust write it (with or without
 * what is in parentheses), as NAME@plt for the stub that calls an imported function, or a section's. */
enum elf_lookup elf_code_symbol(const struct elf_code *elf, const char *name, struct elf_symbol *symbol);

/* The code of a symbol, from `offset` bytes in it to the end of what the file has in one piece. */
bool elf_code_of(const struct elf_code *elf, const struct elf_symbol *symbol, uint64_t offset, struct code *code);

#endif
