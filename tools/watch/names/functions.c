/* functions.c: see functions.h.
 *
 * A compiler may split a function (NAME.cold, NAME.part.0), or make another one of it (NAME.constprop.0); and inline
 * it, which debug information alone shows. */
#include "functions.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "demangled.h"
#include "tools/support/message.h"
#include "tools/support/verb.h"

#define VERB "watch"
/* The most names that are looked at for one that is near to a wrong one. */
#define NAMES_MOST 100000u

struct search {
    const char *file, *name;
    size_t file_length;
    struct functions *found;
    /* A function of C++ whose name ends so, and another one. */
    char *loose, *other;
    /* For messages. */
    char **names;
    size_t name_count;
    unsigned modules;
    bool has_symbols;
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

static void note_name(struct search *search, const char *name)
{
    if (search->name_count > NAMES_MOST - 2)
        return;
    char *shown = demangled(name);
    if (shown && demangled_last(shown) != shown)
        search->names[search->name_count++] = strdup(demangled_last(shown));
    search->names[search->name_count++] = shown ? shown : strdup(name);
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

static bool is_of_file(const struct search *search, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    if (code_is_own(base))
        return false;
    return !search->file || (strncmp(base, search->file, search->file_length) == 0 &&
                             (base[search->file_length] == 0 || base[search->file_length] == '.'));
}

static int look_at_module(Dwfl_Module *module, void **unused, const char *name, Dwarf_Addr start, void *context)
{
    struct search *search = context;
    const char *path = NULL;
    (void)unused;
    (void)start;
    dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &path, NULL);
    if (!is_of_file(search, path ? path : name))
        return DWARF_CB_OK;
    const int count = dwfl_module_getsymtab(module);
    search->modules++;
    for (int i = 1; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        const char *found = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
        if (!found || symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) != STT_FUNC)
            continue;
        if (search->modules == 1)
            search->has_symbols |= GELF_ST_BIND(symbol.st_info) == STB_LOCAL;
        note_name(search, found);
        if (is_name(search, found))
            add_part(search->found, address, address + symbol.st_size);
    }
    look_at_inlined(search, module);
    return DWARF_CB_OK;
}

static bool complain_of_unknown(const struct search *search, const char *target)
{
    const char *near = suggest(search->name, (const char *const *)search->names, search->name_count);
    if (search->file && !search->modules)
        complain(VERB, "%s: the program has not loaded a file '%.*s' when it begins", target, (int)search->file_length,
                 search->file);
    else if (near)
        complain(VERB, "%s: there is no function '%s'; did you mean %s?", target, search->name, near);
    else
        complain(VERB, "%s: there is no function '%s' among the symbols of the program and its libraries%s", target,
                 search->name, search->has_symbols ? "" : "; the program has no symbol table: is it stripped?");
    return false;
}

bool functions_find(const struct code *code, const char *name, const char *target, struct functions *functions)
{
    const char *colon = strchr(name, ':');
    struct search search = {.found = functions, .name = name};
    if (colon && colon[1] != ':') {
        search.file = name;
        search.file_length = (size_t)(colon - name);
        search.name = colon + 1;
    }
    if (!*search.name) {
        complain(VERB, "%s: the name of a function is missing", target);
        return false;
    }
    search.names = calloc(NAMES_MOST, sizeof *search.names);
    if (!search.names)
        abort();
    dwfl_getmodules(code->dwfl, look_at_module, &search, 0);
    bool is_found = functions->count && !search.other;
    if (search.other)
        complain(VERB, "%s: '%s' is several functions: %s, %s; say which", target, search.name, search.loose,
                 search.other);
    else if (!is_found)
        is_found = complain_of_unknown(&search, target);
    for (size_t i = 0; i < search.name_count; i++)
        free(search.names[i]);
    free(search.names);
    free(search.loose);
    free(search.other);
    return is_found;
}

/* ---- by the beginnings of names ---- */

/* Calls `visit` for each function of all files. */
struct walk {
    void (*visit)(struct functions *functions, const char *name, uint64_t start, uint64_t end);
    struct functions *functions;
};

static int walk_module(Dwfl_Module *module, void **unused, const char *name, Dwarf_Addr start, void *context)
{
    const struct walk *walk = context;
    const int count = dwfl_module_getsymtab(module);
    (void)unused;
    (void)name;
    (void)start;
    for (int i = 1; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        const char *found = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
        if (found && symbol.st_shndx != SHN_UNDEF && GELF_ST_TYPE(symbol.st_info) == STT_FUNC)
            walk->visit(walk->functions, found, address, address + symbol.st_size);
    }
    return DWARF_CB_OK;
}

static void note_new(struct functions *functions, const char *name, uint64_t start, uint64_t end)
{
    if (strncmp(name, "_Znwm", 5) == 0 || strncmp(name, "_Znam", 5) == 0)
        add_part(functions, start, end);
}

void functions_find_new(const struct code *code, struct functions *functions)
{
    struct walk walk = {note_new, functions};
    dwfl_getmodules(code->dwfl, walk_module, &walk, 0);
}

/* They are one piece of code: from the first one to the last. */
static void note_builtin(struct functions *functions, const char *name, uint64_t start, uint64_t end)
{
    static const char prefix[] = "Builtins_";
    const uint64_t page = 4096, first = start & -page, behind = (end + page - 1) & -page;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
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
