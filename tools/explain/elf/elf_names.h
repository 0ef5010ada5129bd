/* elf_names.h: names that stand in no symbol table as a person writes them. */
#ifndef SEGUE_TOOLS_ELF_NAMES_H
#define SEGUE_TOOLS_ELF_NAMES_H

#include "elf_code.h"

/* Whether a symbol's name, perhaps with a version, is what C++ or Rust call `name`: in full, or without the parentheses
 * and what is in them. Blanks count for nothing. */
bool names_are_one(const char *symbol, const char *name);

/* Finds the stub of "NAME@plt". False, and nothing was said, if it does not exist or `name` has another form. */
bool elf_plt_find(const struct elf_code *elf, const char *name, struct elf_symbol *symbol);

#endif
