/* functions.c: see functions.h.
 *
 * A compiler may split a function (NAME.cold, NAME.part.0), or make another one of it (NAME.constprop.0); and inline
 * it, which debug information alone shows. */
#include "functions.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/message.h"
#include "tools/support/verb.h"
#include "tools/watch/symbols/demangled.h"
#include "tools/watch/symbols/symbols.h"

#define VERB "watch"

struct search {
    struct symbols symbols;
    const char *name;
    struct functions *found;
    /* A function of C++ whose name ends so, and another one. */
    char *loose, *other;
    /* Of the module that is looked at: what its debug information needs to become addresses. */
    Dwarf_Addr bias;
};

static void add_part(struct functions *functions, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    struct function_part *more = realloc(functions->parts, (functions->count + 1) * sizeof *more);
    if (!more)
        abort();
    functions->parts = more;
    more[functions->count++] = (struct function_part){start, end};
}

/* ---- names ---- */

/* Behind the name may be a part's number, or a version. */
static bool is_plain_name(const char *name, const char *wanted)
{
    const size_t length = strlen(wanted);
    return strncmp(name, wanted, length) == 0 && (name[length] == 0 || name[length] == '.' || name[length] == '@');
}

static bool ends_with(const char *shown, const char *wanted)
{
    const size_t length = strlen(shown), end = strlen(wanted);
    return length > end + 2 && strcmp(shown + length - end, wanted) == 0 && shown[length - end - 1] == ':';
}

/* A name of C++: as it is written, or without what it belongs to, if that is the same of all. */
static bool is_demangled_name(struct search *search, const char *name)
{
    char *shown = demangled(name);
    const bool is_exact = shown && strcmp(shown, search->name) == 0, is_loose = shown && ends_with(shown, search->name);
    if (is_loose && !search->loose)
        search->loose = strdup(shown);
    else if (is_loose && !search->other && strcmp(shown, search->loose) != 0)
        search->other = strdup(shown);
    free(shown);
    return is_exact || is_loose;
}

static bool is_name(struct search *search, const char *name)
{
    return is_plain_name(name, search->name) || is_demangled_name(search, name);
}

/* ---- what is inlined ---- */

static int add_instance(Dwarf_Die *instance, void *context)
{
    struct search *search = context;
    Dwarf_Addr base, start, end;
    for (ptrdiff_t at = 0; (at = dwarf_ranges(instance, at, &base, &start, &end)) > 0;)
        add_part(search->found, start + search->bias, end + search->bias);
    return DWARF_CB_OK;
}

static const char *linkage_name(Dwarf_Die *function)
{
    Dwarf_Attribute attribute;
    return dwarf_formstring(dwarf_attr_integrate(function, DW_AT_linkage_name, &attribute));
}

static int look_at_function(Dwarf_Die *function, void *context)
{
    struct search *search = context;
    const char *linked = linkage_name(function), *name = linked ? linked : dwarf_diename(function);
    if (name && dwarf_func_inline(function) && is_name(search, name))
        dwarf_func_inline_instances(function, add_instance, search);
    return DWARF_CB_OK;
}

static void look_at_inlined(struct search *search, Dwfl_Module *module)
{
    Dwarf_Die *unit = NULL;
    while ((unit = dwfl_module_nextcu(module, unit, &search->bias)) != NULL)
        dwarf_getfuncs(unit, look_at_function, search, 0);
}

/* ---- modules ---- */

static void look_at_symbol(const struct symbol *symbol, void *context)
{
    struct search *search = context;
    if (!symbol->is_function)
        return;
    symbols_note(&search->symbols, symbol->name);
    if (is_name(search, symbol->name))
        add_part(search->found, symbol->address, symbol->address + symbol->elf.st_size);
}

static int look_at_module(Dwfl_Module *module, void **unused, const char *name, Dwarf_Addr start, void *context)
{
    struct search *search = context;
    (void)unused;
    (void)start;
    if (!symbols_want(&search->symbols, module, name))
        return DWARF_CB_OK;
    symbols_each(module, look_at_symbol, search);
    look_at_inlined(search, module);
    return DWARF_CB_OK;
}

static bool complain_of_unknown(const struct search *search, const char *target)
{
    const char *near = symbols_near(&search->symbols, search->name);
    if (search->symbols.file && !search->symbols.files)
        complain(VERB, "%s: the program has not loaded a file '%.*s' when it begins", target,
                 (int)search->symbols.file_length, search->symbols.file);
    else if (near)
        complain(VERB, "%s: there is no function '%s'; did you mean %s?", target, search->name, near);
    else
        complain(VERB, "%s: there is no function '%s' among the symbols of the program and its libraries%s", target,
                 search->name, search->symbols.has_table ? "" : "; the program has no symbol table: is it stripped?");
    return false;
}

bool functions_find(const struct code *code, const char *name, const char *target, struct functions *functions)
{
    const char *colon = strchr(name, ':');
    struct search search = {.found = functions, .name = name};
    if (colon && colon[1] != ':') {
        search.symbols.file = name;
        search.symbols.file_length = (size_t)(colon - name);
        search.name = colon + 1;
    }
    if (!*search.name) {
        complain(VERB, "%s: the name of a function is missing", target);
        return false;
    }
    symbols_begin(&search.symbols);
    dwfl_getmodules(code->dwfl, look_at_module, &search, 0);
    bool is_found = functions->count && !search.other;
    if (search.other)
        complain(VERB, "%s: '%s' is several functions: %s, %s; say which", target, search.name, search.loose,
                 search.other);
    else if (!is_found)
        is_found = complain_of_unknown(&search, target);
    symbols_end(&search.symbols);
    free(search.loose);
    free(search.other);
    return is_found;
}

/* ---- by the beginnings of names ---- */

/* Of all files. */
struct walk {
    symbols_visit *visit;
    struct functions *functions;
};

static int walk_module(Dwfl_Module *module, void **unused, const char *name, Dwarf_Addr start, void *context)
{
    const struct walk *walk = context;
    (void)unused;
    (void)name;
    (void)start;
    symbols_each(module, walk->visit, walk->functions);
    return DWARF_CB_OK;
}

static void note_new(const struct symbol *symbol, void *functions)
{
    if (symbol->is_function && (strncmp(symbol->name, "_Znwm", 5) == 0 || strncmp(symbol->name, "_Znam", 5) == 0))
        add_part(functions, symbol->address, symbol->address + symbol->elf.st_size);
}

void functions_find_new(const struct code *code, struct functions *functions)
{
    struct walk walk = {note_new, functions};
    dwfl_getmodules(code->dwfl, walk_module, &walk, 0);
}

/* They are one piece of code: from the first one to the last. */
static void note_builtin(const struct symbol *symbol, void *context)
{
    static const char prefix[] = "Builtins_";
    struct functions *functions = context;
    const uint64_t page = 4096, first = symbol->address & -page,
                   behind = (symbol->address + symbol->elf.st_size + page - 1) & -page;
    if (!symbol->is_function || strncmp(symbol->name, prefix, sizeof prefix - 1) != 0)
        return;
    if (!functions->count)
        add_part(functions, first, behind);
    else {
        struct function_part *part = functions->parts;
        part->start = first < part->start ? first : part->start;
        part->end = behind > part->end ? behind : part->end;
    }
}

void functions_find_copied(const struct code *code, struct functions *functions)
{
    struct walk walk = {note_builtin, functions};
    dwfl_getmodules(code->dwfl, walk_module, &walk, 0);
}
