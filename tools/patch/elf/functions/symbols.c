/* symbols.c: the functions that symbols describe: symbols of type FUNC with a size. They cover code that is in no
 * unwind table.
 *
 * SOURCES: System V ABI, chapter 4 (symbol table). ASSUMPTIONS: an assembly programmer who gives a symbol this type and
 * a size means instructions; a function ends where a symbol of data lies within it. */
#include <stdlib.h>
#include <string.h>

#include "functions.h"

#define SYMBOLS_AT_ONCE 4096

struct symbol_lists {
    const struct elf_object *object;
    struct functions functions, data;
};

/* Where the symbol's bytes begin; false if not in code. */
static bool place_of(const struct elf_object *object, const Elf64_Sym *symbol, uint64_t *start)
{
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE)
        return false;
    const struct elf_section *section = elf_section_numbered(object, symbol->st_shndx);
    uint64_t origin = object->is_relocatable || !section ? 0 : section->address;
    if (!section || section->kind != ELF_CODE || !section->is_loaded || symbol->st_value < origin ||
        symbol->st_value - origin >= section->size || symbol->st_size > section->size - (symbol->st_value - origin))
        return false;
    *start = section->base + (symbol->st_value - origin);
    return true;
}

static void take_symbol(struct symbol_lists *lists, const Elf64_Sym *symbol)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    uint64_t start;
    if (symbol->st_size == 0 || !place_of(lists->object, symbol, &start))
        return;
    if (type == STT_FUNC || type == STT_GNU_IFUNC)
        functions_add(&lists->functions, start, symbol->st_size);
    else if (type == STT_OBJECT)
        functions_add(&lists->data, start, symbol->st_size);
}

static bool read_table(struct symbol_lists *lists, const struct elf_section *section, Elf64_Sym *symbols)
{
    size_t left = section->size / sizeof *symbols;
    for (uint64_t offset = section->offset; left;) {
        size_t count = left < SYMBOLS_AT_ONCE ? left : SYMBOLS_AT_ONCE;
        if (!elf_read(lists->object, offset, symbols, count * sizeof *symbols))
            return false;
        for (size_t i = 0; i < count; i++)
            take_symbol(lists, &symbols[i]);
        offset += count * sizeof *symbols;
        left -= count;
    }
    return true;
}

/* Ends functions where data begins, and merges several names of the same function. */
static void tidy(struct symbol_lists *lists)
{
    struct functions *functions = &lists->functions, *data = &lists->data;
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < functions->count; i++) {
        struct segue_extent one = functions->list[i];
        if (kept && functions->list[kept - 1].start == one.start) {
            if (functions->list[kept - 1].end < one.end)
                functions->list[kept - 1].end = one.end;
            continue;
        }
        functions->list[kept++] = one;
    }
    functions->count = kept;
    for (size_t i = kept = 0; i < functions->count; i++) {
        struct segue_extent one = functions->list[i];
        while (at < data->count && data->list[at].end <= one.start)
            at++;
        if (at < data->count && data->list[at].start < one.end)
            one.end = data->list[at].start;
        if (one.end > one.start)
            functions->list[kept++] = one;
    }
    functions->count = kept;
}

bool functions_from_symbols(const struct elf_object *object, struct functions *functions)
{
    struct symbol_lists lists = {.object = object};
    Elf64_Sym *symbols = malloc(SYMBOLS_AT_ONCE * sizeof *symbols);
    bool done = true;
    if (!symbols)
        abort();
    for (size_t i = 0; done && i < object->section_count; i++)
        if (object->sections[i].kind == ELF_SYMBOLS)
            done = read_table(&lists, &object->sections[i], symbols);
    free(symbols);
    functions_sort(&lists.functions);
    functions_sort(&lists.data);
    tidy(&lists);
    if (done)
        functions_merge(functions, &lists.functions);
    functions_free(&lists.functions);
    functions_free(&lists.data);
    return done;
}
