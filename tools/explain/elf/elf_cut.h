/* elf_cut.h: whether an ELF file or archive ends before what it says it holds. Each function says which table, where it
 * should end and where the file does, and returns true; false if nothing is missing, and nothing was said. */
#ifndef SEGUE_TOOLS_ELF_CUT_H
#define SEGUE_TOOLS_ELF_CUT_H

#include "elf_code.h"

/* Of a file that begins as ELF files do: its first header. */
bool elf_cut_header(const struct elf_code *elf);

/* What leads from addresses to bytes: the program headers. */
bool elf_cut_segments(const struct elf_code *elf);

/* What leads from names to addresses: section headers, tables of symbols and of their names; members of an archive. */
bool elf_cut_symbols(const struct elf_code *elf);

/* Whether `size` bytes at `offset` end past the file's end, and `what` they are. */
bool elf_cut_bytes(const struct elf_code *elf, const char *what, uint64_t offset, uint64_t size);

#endif
