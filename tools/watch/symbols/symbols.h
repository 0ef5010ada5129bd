/* symbols.h: the symbols of the files that a process has mapped, for who looks for one by its name. */
#ifndef SEGUE_TOOLS_WATCH_SYMBOLS_H
#define SEGUE_TOOLS_WATCH_SYMBOLS_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>

struct symbol {
    Dwfl_Module *module;
    const char *name;
    GElf_Sym elf;
    GElf_Addr address;
    bool is_function, is_data;
};

/* Those of a file that are defined in it. */
typedef void symbols_visit(const struct symbol *symbol, void *context);
void symbols_each(Dwfl_Module *module, symbols_visit *visit, void *context);

/* Where a name is looked for, and what a message says if it is not found. */
struct symbols {
    /* The file's name; NULL: all files. */
    const char *file;
    size_t file_length;
    /* Names that may be meant, and how many files were looked at. */
    char **names;
    size_t name_count;
    unsigned files;
    /* The first file, the program, has a symbol table. */
    bool has_table;
};

void symbols_begin(struct symbols *symbols);
void symbols_end(struct symbols *symbols);

/* Whether the module is one of them, of that name in dwfl_getmodules; it counts as looked at then. */
bool symbols_want(struct symbols *symbols, Dwfl_Module *module, const char *name);

/* A name may be meant: as it is written, and without what it belongs to. */
void symbols_note(struct symbols *symbols, const char *name);

/* The one that is near to a name that is not there; NULL if none is. */
const char *symbols_near(const struct symbols *symbols, const char *name);

#endif
