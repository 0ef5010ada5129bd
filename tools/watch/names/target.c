/* target.c: see target.h.
 *
 * A name without parts needs a symbol alone, and its type if there is debug information; parts need that. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "tools/support/message.h"
#include "tools/support/verb.h"
#include "tools/watch/symbols/demangled.h"
#include "tools/watch/symbols/symbols.h"
#include "types.h"

#define VERB "watch"

/* What is looked for in the modules. */
struct search {
    struct symbols symbols;
    char name[256];
    /* What was found. */
    Dwfl_Module *module;
    GElf_Sym symbol;
    GElf_Addr address;
    /* The first one whose name ends so, behind a namespace or a class; and another one. */
    GElf_Sym loose_symbol;
    GElf_Addr loose_address;
    char *loose, *other;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Of several, one that has a size; a function's static variable has a number behind its name. */
static bool is_name(const char *name, const char *wanted, bool is_local)
{
    size_t length = strlen(wanted);
    return strncmp(name, wanted, length) == 0 && (name[length] == 0 || (is_local && name[length] == '.'));
}

static void take(struct search *search, const struct symbol *symbol)
{
    search->module = symbol->module;
    search->symbol = symbol->elf;
    search->address = symbol->address;
}

static void look_at_name(const struct symbol *symbol, void *context)
{
    struct search *search = context;
    if (!symbol->is_data && !symbol->is_function)
        return;
    if (symbol->is_data)
        symbols_note(&search->symbols, symbol->name);
    if (!search->module && is_name(symbol->name, search->name, GELF_ST_BIND(symbol->elf.st_info) == STB_LOCAL))
        take(search, symbol);
}

/* A name of C++: as it is written, or without what it belongs to. */
static void look_at_demangled(const struct symbol *symbol, void *context)
{
    static const char anonymous[] = "(anonymous namespace)::";
    struct search *search = context;
    char *shown = symbol->is_data && !search->module ? demangled(symbol->name) : NULL;
    if (!shown)
        return;
    const char *named = strncmp(shown, anonymous, sizeof anonymous - 1) == 0 ? shown + sizeof anonymous - 1 : shown;
    const size_t length = strlen(named), wanted = strlen(search->name);
    const bool ends_so =
        length > wanted + 2 && strcmp(named + length - wanted, search->name) == 0 && named[length - wanted - 1] == ':';
    if (strcmp(named, search->name) == 0) {
        take(search, symbol);
    } else if (ends_so && !search->loose) {
        search->loose_symbol = symbol->elf;
        search->loose_address = symbol->address;
        search->loose = strdup(shown);
    } else if (ends_so && !search->other && symbol->address != search->loose_address) {
        search->other = strdup(shown);
    }
    free(shown);
}

static int look_at_module(Dwfl_Module *module, void **unused, const char *name, Dwarf_Addr start, void *context)
{
    struct search *search = context;
    (void)unused;
    (void)start;
    if (!symbols_want(&search->symbols, module, name))
        return DWARF_CB_OK;
    symbols_each(module, look_at_name, search);
    symbols_each(module, look_at_demangled, search);
    if (!search->module && search->loose && !search->other) {
        search->module = module;
        search->symbol = search->loose_symbol;
        search->address = search->loose_address;
    }
    if (search->other)
        return DWARF_CB_ABORT;
    return search->module ? DWARF_CB_ABORT : DWARF_CB_OK;
}

/* The target that such a name is only the beginning of; NULL for any other name. */
static const char *whole_of(const struct search *search)
{
    if (!search->symbols.file && strcmp(search->name, "heap") == 0)
        return "heap:SIZE or heap@FUNCTION, blocks of the heap";
    return !search->symbols.file && strcmp(search->name, "map") == 0 ? "map:PATH, what is mapped of a file" : NULL;
}

static bool complain_of_unknown(const struct search *search)
{
    if (search->other)
        complain(VERB, "'%s' is several variables: %s, %s; say which", search->name, search->loose, search->other);
    else if (whole_of(search))
        complain(VERB, "there is no variable '%s'; did you mean %s?", search->name, whole_of(search));
    else if (search->symbols.file && !search->symbols.files)
        complain(VERB,
                 "the program has not loaded a file '%.*s' when it begins (FILE:NAME is a variable of a library; "
                 "ADDRESS:SIZE wants two numbers)",
                 (int)search->symbols.file_length, search->symbols.file);
    else if (!search->symbols.file && !search->symbols.has_table)
        complain(VERB, "there is no variable '%s': the program has no symbol table; is it stripped? Use ADDRESS:SIZE",
                 search->name);
    else {
        const char *near = symbols_near(&search->symbols, search->name);
        if (near)
            complain(VERB, "there is no variable '%s'; did you mean %s?", search->name, near);
        else
            complain(VERB, "there is no variable '%s' among the symbols of the program and its libraries",
                     search->name);
    }
    return false;
}

/* ---- ADDRESS:SIZE ---- */

static bool read_number(const char **text, uint64_t *number)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *number = strtoull(*text, &end, 0);
    *text = end;
    return errno == 0;
}

static bool is_addresses(const char *name)
{
    return *name >= '0' && *name <= '9';
}

static bool read_addresses(const char *name, struct target *target)
{
    const char *at = name;
    if (!read_number(&at, &target->address) || *at++ != ':' || !read_number(&at, &target->size) || *at ||
        !target->size) {
        complain(VERB, "'%s' is not ADDRESS:SIZE, two numbers, of which SIZE is at least 1", name);
        return false;
    }
    const uint64_t limit = canonical_user_end();
    if (!target->address || target->address >= limit || target->size > limit - target->address) {
        complain(VERB, "%s: no program has memory there; /proc/PID/maps lists what a process has", name);
        return false;
    }
    target->element = target->size <= 8 ? target->size : 0;
    return true;
}

/* ---- parts ---- */

static bool read_pointer(const struct code *code, uint64_t address, uint64_t *pointer)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)code->process);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : pread(file, pointer, sizeof *pointer, (off_t)address);
    if (file >= 0)
        close(file);
    return size == (ssize_t)sizeof *pointer;
}

static bool follow_member(const char **path, Dwarf_Die *type, struct target *target)
{
    char name[256];
    Dwarf_Die member;
    uint64_t offset;
    const size_t length = strcspn(*path + 1, ".[");
    snprintf(name, sizeof name, "%.*s", (int)length, *path + 1);
    if (!types_member(type, name, &member, &offset)) {
        char *members = types_members(type);
        if (*members)
            complain(VERB, "%s: there is no member '%s', or it is a bit field; the members are:%s", target->name, name,
                     members);
        else
            complain(VERB, "%s: '%s' cannot be a member: it belongs to nothing with members", target->name, name);
        free(members);
        return false;
    }
    *type = member;
    target->address += offset;
    *path += 1 + length;
    return true;
}

/* An array of which some dimensions have been indexed; without one, of size 0. */
struct row {
    unsigned dimension;
    uint64_t size;
};

/* The size of a row of the dimensions that are left, or of an element. */
static uint64_t size_of_row(const uint64_t *counts, unsigned left, uint64_t element)
{
    uint64_t size = element;
    for (unsigned i = 0; i < left; i++)
        size *= counts[i];
    return size;
}

static bool follow_index(const char **path, Dwarf_Die *type, struct row *row, struct target *target)
{
    Dwarf_Die element;
    uint64_t index, counts[TYPES_DIMENSIONS], whole = row->size ? row->size : types_size(type);
    const char *at = *path + 1;
    if (!read_number(&at, &index) || *at != ']') {
        complain(VERB, "%s: an index is a number in brackets", target->name);
        return false;
    }
    const unsigned dimensions = types_dimensions(type, counts);
    if (!types_element(type, &element)) {
        complain(VERB, "%s: what is indexed is not an array", target->name);
        return false;
    }
    const unsigned next = row->dimension + 1, left = next < dimensions ? dimensions - next : 0;
    const uint64_t size = size_of_row(counts + next, left, types_size(&element));
    if (size == 0 || (whole && index >= whole / size)) {
        complain(VERB, "%s: the array has %llu elements", target->name, (unsigned long long)(size ? whole / size : 0));
        return false;
    }
    if (!left)
        *type = element;
    *row = left ? (struct row){next, size} : (struct row){.size = 0};
    target->address += index * size;
    *path = at + 1;
    return true;
}

/* From the variable on; `path` is what follows its name. */
static bool follow(const struct code *code, const char *path, bool is_pointer, Dwarf_Die *type, struct target *target)
{
    if (!types_strip(type)) {
        complain(VERB, "%s: the debug information has no complete type of it", target->name);
        return false;
    }
    struct row row = {.size = 0};
    while (*path)
        if (!(*path == '.' ? follow_member(&path, type, target) : follow_index(&path, type, &row, target)))
            return false;
    if (is_pointer) {
        Dwarf_Die pointed;
        if (!types_pointed(type, &pointed)) {
            complain(VERB, "%s: it is not a pointer to a complete type", target->name);
            return false;
        }
        *type = pointed;
        if (!read_pointer(code, target->address, &target->address) || !target->address) {
            complain(VERB, "%s: the pointer is NULL when the program begins", target->name);
            return false;
        }
    }
    target->size = row.size ? row.size : types_size(type);
    types_kind(type, &target->kind, &target->element);
    if (target->size == 0)
        complain(VERB, "%s: the debug information has no size of it", target->name);
    return target->size != 0;
}

/* ---- names ---- */

static bool read_name(const char *name, struct search *search, const char **path)
{
    const char *colon = strchr(name, ':');
    if (colon && colon[1] != ':') {
        search->symbols.file = name;
        search->symbols.file_length = (size_t)(colon - name);
        name = colon + 1;
    }
    size_t length = strcspn(name, ".[");
    *path = name + length;
    if (length == 0 || length >= sizeof search->name)
        return false;
    memcpy(search->name, name, length);
    search->name[length] = 0;
    return true;
}

/* What the type says, where there is one. */
static bool find_parts(const struct code *code, const struct search *search, const char *path, bool is_pointer,
                       struct target *target)
{
    Dwarf_Die type;
    char *shown = demangled(search->name);
    bool has_type =
        types_find_variable(search->module, demangled_last(shown ? shown : search->name), search->address, &type);
    free(shown);
    if (has_type)
        return follow(code, path, is_pointer, &type, target);
    if (!*path && !is_pointer && target->size) {
        target->element = target->size <= 8 ? target->size : 0;
        return true;
    }
    if (*path || is_pointer)
        complain(VERB,
                 "%s: a part of a variable is found by debug information, and '%s' has none; compile the program with "
                 "-g",
                 target->name, search->name);
    else
        complain(VERB, "%s: neither its symbol nor debug information has its size; use ADDRESS:SIZE", target->name);
    return false;
}

static bool find_symbol(const struct code *code, struct search *search, const char *path, bool is_pointer,
                        struct target *target)
{
    dwfl_getmodules(code->dwfl, look_at_module, search, 0);
    if (!search->module)
        return complain_of_unknown(search);
    int type = GELF_ST_TYPE(search->symbol.st_info);
    if (type == STT_FUNC) {
        complain(VERB, "'%s' is a function; a variable can be watched", search->name);
        return false;
    }
    if (type == STT_TLS) {
        complain(VERB, "'%s' is thread-local: each thread has its own, and they cannot be watched", search->name);
        return false;
    }
    target->address = search->address;
    target->size = search->symbol.st_size;
    return find_parts(code, search, path, is_pointer, target);
}

/* And the module that it is in; NULL if that is not known. */
static bool find(const struct code *code, const char *name, struct target *target, Dwfl_Module **module)
{
    struct search search = {.module = NULL};
    const char *path;
    const bool is_pointer = *name == '*';
    *target = (struct target){.name = name};
    if (is_addresses(name)) {
        bool is_read = read_addresses(name, target);
        *module = dwfl_addrmodule(code->dwfl, target->address);
        return is_read;
    }
    if (!read_name(name + is_pointer, &search, &path)) {
        complain(VERB, "'%s' is neither a name nor ADDRESS:SIZE", name);
        return false;
    }
    symbols_begin(&search.symbols);
    bool found = find_symbol(code, &search, path, is_pointer, target);
    *module = search.module;
    symbols_end(&search.symbols);
    free(search.loose);
    free(search.other);
    return found;
}

/* Behind the module's last segment, with the part that no file holds. */
static uint64_t end_of(Dwfl_Module *module)
{
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(module, &bias);
    size_t count = 0;
    uint64_t end = 0;
    if (!elf || elf_getphdrnum(elf, &count) != 0)
        return UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_LOAD && header.p_vaddr + header.p_memsz > end)
            end = header.p_vaddr + header.p_memsz;
    }
    return bias + ((end + PAGE - 1) & -(uint64_t)PAGE);
}

/* The C library accesses its own data with all signals blocked, as at a thread's end: a fault then kills the program.
 * Addresses behind a module are the module's, too, to libdwfl. */
static bool is_of_c_library(Dwfl_Module *module, uint64_t address)
{
    const char *path = module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    const char *name = path ? base_name(path) : "";
    if (path && address >= end_of(module))
        return false;
    return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "ld-linux", 8) == 0;
}

/* ---- blocks of the heap ---- */

bool target_is_heap(const char *name)
{
    return strncmp(name, "heap:", 5) == 0 || strncmp(name, "heap@", 5) == 0;
}

/* SIZE, or SIZE-SIZE. */
static bool read_sizes(const char *text, struct target *target)
{
    const char *at = text;
    bool is_read = read_number(&at, &target->least);
    target->most = target->least;
    if (is_read && *at == '-')
        is_read = ++at && read_number(&at, &target->most);
    if (is_read && *at == 0 && target->least && target->least <= target->most)
        return true;
    complain(VERB, "'%s' is not heap:SIZE or heap:SIZE-SIZE, with a number of bytes from 1 on", target->name);
    return false;
}

static bool find_heap(const struct code *code, const char *name, struct target *target)
{
    *target = (struct target){.name = name, .is_heap = true};
    return name[4] == ':' ? read_sizes(name + 5, target) : functions_find(code, name + 5, name, &target->functions);
}

bool target_find(const struct code *code, const char *name, struct target *target)
{
    Dwfl_Module *module = NULL;
    if (target_is_heap(name))
        return find_heap(code, name, target);
    if (!find(code, name, target, &module))
        return false;
    if (!is_of_c_library(module, target->address))
        return true;
    complain(VERB,
             "%s: it is the C library's own, which accesses it with all signals blocked: that would end the program",
             name);
    return false;
}
