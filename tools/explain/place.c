/* place.c: places in ELF files. */
#include "place.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hex.h"
#include "tools/explain/elf/elf_code.h"
#include "tools/explain/elf/elf_cut.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"
#include "tools/support/verb.h"

#define VERB EXPLAIN_VERB

/* Splits NAME+N at its last plus sign. Returns false without a sign, or without a number behind it. */
static bool split_offset(const char *text, char **name, uint64_t *offset)
{
    const char *plus = strrchr(text, '+');
    if (!plus || plus == text || !number_read(plus + 1, offset))
        return false;
    *name = strndup(text, (size_t)(plus - text));
    if (!*name)
        abort();
    return true;
}

/* A name that holds a plus sign itself goes before the name and an offset. */
static enum elf_lookup find_symbol(const struct elf_code *elf, const char *place, struct elf_symbol *symbol,
                                   bool *has_offset, uint64_t *offset)
{
    char *name;
    *has_offset = false;
    *offset = 0;
    enum elf_lookup lookup = elf_code_symbol(elf, place, symbol);
    if (lookup == ELF_LOOKUP_NOT_FOUND && split_offset(place, &name, offset)) {
        *has_offset = true;
        lookup = elf_code_symbol(elf, name, symbol);
        free(name);
    }
    return lookup;
}

/* Where a place that names a symbol is. */
struct found {
    struct elf_symbol symbol;
    uint64_t offset;
    bool has_offset;
};

/* Looks in all members of an archive; `member` is the one that is meant, or NULL. */
static enum elf_lookup find_in_archive(struct elf_code *elf, const char *member, const char *place, struct found *found)
{
    char first[sizeof elf->member] = "";
    size_t members = 0;
    while (elf_code_next_member(elf, member)) {
        struct found here;
        members++;
        enum elf_lookup lookup = find_symbol(elf, place, &here.symbol, &here.has_offset, &here.offset);
        if (lookup == ELF_LOOKUP_FAILED)
            return lookup;
        if (lookup == ELF_LOOKUP_NOT_FOUND)
            continue;
        if (*first) {
            complain(VERB, "%s has '%s' in several members, two of them %s and %s; give %s(%s):%s", elf->path, place,
                     first, elf->member, elf->path, first, place);
            return ELF_LOOKUP_FAILED;
        }
        snprintf(first, sizeof first, "%s", elf->member);
    }
    if (members == 0 && member && !elf_cut_symbols(elf))
        complain(VERB, "%s has no member '%s' that is an object for x86", elf->path, member);
    if (members == 0 && member)
        return ELF_LOOKUP_FAILED;
    if (!*first)
        return ELF_LOOKUP_NOT_FOUND;
    /* Once more, to stand at that member. */
    const char *verb = elf->verb, *path = elf->path;
    elf_code_close(elf);
    if (!elf_code_open(elf, verb, path) || !elf_code_next_member(elf, first))
        return ELF_LOOKUP_FAILED;
    return find_symbol(elf, place, &found->symbol, &found->has_offset, &found->offset);
}

static bool locate_symbol(struct elf_code *elf, const char *member, const char *place, struct task *task)
{
    struct found found;
    enum elf_lookup lookup = elf->archive ? find_in_archive(elf, member, place, &found)
                                          : find_symbol(elf, place, &found.symbol, &found.has_offset, &found.offset);
    if (lookup == ELF_LOOKUP_NOT_FOUND && !elf_cut_symbols(elf))
        complain(VERB,
                 "%s has no symbol '%s' (looked in .symtab and .dynsym; names are given without @VERSION); give an "
                 "address if the file was stripped",
                 elf->path, place);
    if (lookup != ELF_LOOKUP_FOUND)
        return false;
    struct elf_symbol symbol = found.symbol;
    uint64_t offset = found.offset;
    bool has_offset = found.has_offset;
    if (has_offset && symbol.size && offset >= symbol.size) {
        complain(VERB, "'%s' lies outside the symbol, which is %" PRIu64 " byte%s long; give a smaller offset", place,
                 symbol.size, plural(symbol.size));
        return false;
    }
    if (symbol.is_resolver)
        complain(VERB, "note: '%s' is chosen when the program starts; this is the code that chooses", place);
    if (!elf_code_of(elf, &symbol, offset, &task->code))
        return false;
    if (elf->is_relocatable)
        complain(VERB, "note: %s%s%s%s is not linked: what the linker fills in is 0 there, and places are offsets",
                 elf->path, elf->archive ? "(" : "", elf->archive ? elf->member : "", elf->archive ? ")" : "");
    task->end = task->code.size;
    task->count = 1;
    if (has_offset)
        return true;
    if (symbol.size == 0) {
        complain(VERB, "note: %s does not say how long '%s' is; --count asks for more instructions", elf->path, place);
        return true;
    }
    task->count = SIZE_MAX;
    task->end = symbol.size < task->code.size ? symbol.size : task->code.size;
    return true;
}

static bool locate(struct elf_code *elf, const char *member, const char *place, struct task *task)
{
    uint64_t address;
    *task = (struct task){.skips = true};
    if (isdigit((unsigned char)place[0]) && !strpbrk(place, "+.@") && !number_read(place, &address)) {
        complain(VERB, "'%s' is no address: decimal, or 0x and hexadecimal, of at most 64 bits", place);
        return false;
    }
    if (!number_read(place, &address))
        return locate_symbol(elf, member, place, task);
    if (elf->archive) {
        complain(VERB, "%s is an archive, whose code has no addresses; give a symbol", elf->path);
        return false;
    }
    if (!elf_code_at(elf, address, &task->code))
        return false;
    task->end = task->code.size;
    task->count = 1;
    return true;
}

/* Of ARCHIVE(MEMBER) where no file has that name: cuts the archive off, and returns the member. */
static char *split_member(char *path)
{
    char *open = strrchr(path, '('), *close = strrchr(path, ')');
    if (!open || open == path || !close || close[1] || close < open || access(path, F_OK) == 0)
        return NULL;
    *open = *close = 0;
    return open + 1;
}

/* The colon that parts FILE from PLACE: names of C++ have colons, too, and so may files. The first behind a file that
 * is there; else the first that stands alone; else the last. NULL if nothing has the name. */
const char *place_colon(const char *argument)
{
    const char *alone = NULL;
    for (const char *colon = strchr(argument, ':'); colon; colon = strchr(colon + 1, ':')) {
        char *path = strndup(argument, (size_t)(colon - argument));
        if (!path)
            abort();
        split_member(path);
        bool is_there = *path && access(path, F_OK) == 0;
        free(path);
        if (is_there && colon[1])
            return colon;
        if (!alone && colon > argument && colon[-1] != ':' && colon[1] != ':')
            alone = colon;
    }
    return alone ? alone : strrchr(argument, ':');
}

int place_explain(const char *argument, const char *colon, const struct explain_options *options,
                  explain_function *explain)
{
    struct elf_code elf;
    struct task task;
    int code = EXIT_FAILED;
    char *path = strndup(argument, (size_t)(colon - argument)), *member = NULL;
    if (!path)
        abort();
    member = split_member(path);
    if (elf_code_open(&elf, VERB, path)) {
        if (locate(&elf, member, colon + 1, &task)) {
            if (options->mode_given)
                task.code.mode = options->mode;
            if (options->count_given) {
                task.count = options->count;
                task.end = task.code.size;
            }
            code = explain(&task, options);
        }
        elf_code_close(&elf);
    }
    free(path);
    return code;
}

void place_name_input(int argument_count, char **arguments)
{
    for (int i = 1; i < argument_count && strcmp(arguments[i], "--") != 0; i++)
        if (strncmp(arguments[i], "-:", 2) == 0 && asprintf(&arguments[i], ELF_CODE_INPUT "%s", arguments[i] + 1) < 0)
            abort();
}
