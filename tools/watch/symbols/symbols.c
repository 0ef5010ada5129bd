/* symbols.c: see symbols.h. */
#include "symbols.h"

#include <stdlib.h>
#include <string.h>

#include "tools/support/verb.h"
#include "tools/watch/names/code.h"
#include "tools/watch/symbols/demangled.h"

/* The most names that are looked at for one that is near to a wrong one. */
#define NAMES_MOST 100000u

void symbols_each(Dwfl_Module *module, symbols_visit *visit, void *context)
{
    const int count = dwfl_module_getsymtab(module);
    for (int i = 1; i < count; i++) {
        struct symbol symbol = {.module = module};
        symbol.name = dwfl_module_getsym_info(module, i, &symbol.elf, &symbol.address, NULL, NULL, NULL);
        if (!symbol.name || symbol.elf.st_shndx == SHN_UNDEF)
            continue;
        const int type = GELF_ST_TYPE(symbol.elf.st_info);
        symbol.is_function = type == STT_FUNC;
        symbol.is_data = type == STT_OBJECT || type == STT_TLS;
        visit(&symbol, context);
    }
}

void symbols_begin(struct symbols *symbols)
{
    symbols->names = calloc(NAMES_MOST, sizeof *symbols->names);
    if (!symbols->names)
        abort();
}

void symbols_end(struct symbols *symbols)
{
    for (size_t i = 0; i < symbols->name_count; i++)
        free(symbols->names[i]);
    free(symbols->names);
}

static void look_for_table(const struct symbol *symbol, void *context)
{
    struct symbols *symbols = context;
    symbols->has_table |= GELF_ST_BIND(symbol->elf.st_info) == STB_LOCAL && (symbol->is_function || symbol->is_data);
}

/* What is preloaded is not the program's. A library's name goes on: libx.so.0 is libx.so.0.8.6. */
bool symbols_want(struct symbols *symbols, Dwfl_Module *module, const char *name)
{
    const char *path = NULL;
    dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &path, NULL);
    const char *whole = path ? path : name, *slash = strrchr(whole, '/'), *base = slash ? slash + 1 : whole;
    if (code_is_own(base) ||
        (symbols->file && (strncmp(base, symbols->file, symbols->file_length) != 0 ||
                           (base[symbols->file_length] != 0 && base[symbols->file_length] != '.'))))
        return false;
    if (symbols->files++ == 0)
        symbols_each(module, look_for_table, symbols);
    return true;
}

void symbols_note(struct symbols *symbols, const char *name)
{
    if (symbols->name_count > NAMES_MOST - 2)
        return;
    char *shown = demangled(name);
    if (shown && demangled_last(shown) != shown)
        symbols->names[symbols->name_count++] = strdup(demangled_last(shown));
    symbols->names[symbols->name_count++] = shown ? shown : strdup(name);
}

const char *symbols_near(const struct symbols *symbols, const char *name)
{
    return suggest(name, (const char *const *)symbols->names, symbols->name_count);
}
