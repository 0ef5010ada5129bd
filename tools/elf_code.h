/* elf_code.h: code in an ELF file, by virtual address or by symbol. */
#ifndef SEGUE_TOOLS_ELF_CODE_H
#define SEGUE_TOOLS_ELF_CODE_H

#include <libelf.h>

#include "instruction.h"

/* An open file. Every function that fails has said why, in the name of `verb`. */
struct elf_code {
    const char *verb;
    const char *path;
    int file;
    Elf *elf;
    /* All bytes of the file. */
    const uint8_t *image;
    size_t image_size;
    /* The processor's mode that the file's code is for. */
    enum segue_mode mode;
};

/* A symbol that is defined in the file and may be code. */
struct elf_symbol {
    uint64_t address;
    /* 0 where the file does not tell. */
    uint64_t size;
    /* The address is that of a function which picks the real one as the program starts (STT_GNU_IFUNC). */
    bool is_resolver;
};

/* Opens a file whose code has addresses: an executable, a shared object or a core file, for x86. */
bool elf_code_open(struct elf_code *elf, const char *verb, const char *path);
void elf_code_close(struct elf_code *elf);

/* The bytes from `address` to the end of what the file has in one piece. They live as long as the file is open. */
bool elf_code_at(const struct elf_code *elf, uint64_t address, struct code *code);

enum elf_lookup {
    ELF_LOOKUP_FOUND,
    /* Nothing was said. */
    ELF_LOOKUP_NOT_FOUND,
    ELF_LOOKUP_FAILED,
};

/* Finds a symbol by its name, given without a version. */
enum elf_lookup elf_code_symbol(const struct elf_code *elf, const char *name, struct elf_symbol *symbol);

#endif
