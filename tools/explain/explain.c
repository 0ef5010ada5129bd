/* explain.c: segue explain: lists each instruction's memory accesses, and says how it could be stepped. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf_code.h"
#include "elf_cut.h"
#include "hex.h"
#include "hot_site.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"
#include "tools/support/verb.h"

#define VERB "explain"

struct options {
    /* At most so many instructions. */
    size_t count;
    bool count_given;
    bool hot;
    bool json;
    enum segue_mode mode;
    bool mode_given;
};

/* What is to be explained: of `code`, the instructions that begin below `end`. */
struct task {
    struct code code;
    size_t end;
    size_t count;
    /* In a file a byte that begins no instruction is skipped; typed bytes that do not begin one end it all. */
    bool skips;
    /* Its instructions are also looked at as hot sites. */
    bool hot;
};

/* Decimal, or hexadecimal with 0x. */
static bool read_number(const char *text, uint64_t *number)
{
    bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = is_hex ? text + 2 : text;
    size_t length = strspn(digits, is_hex ? "0123456789abcdefABCDEF" : "0123456789");
    if (length == 0 || digits[length])
        return false;
    errno = 0;
    *number = strtoull(digits, NULL, is_hex ? 16 : 10);
    return errno == 0;
}

static int read_count(const char *text, struct options *options)
{
    uint64_t count;
    if (!read_number(text, &count) || count == 0)
        return misuse(VERB, "--count wants a number of instructions from 1 on, not '%s'", text);
    options->count = count;
    options->count_given = true;
    return EXIT_DONE;
}

static int read_mode(const char *text, struct options *options)
{
    bool is_64 = strcmp(text, "64") == 0;
    if (!is_64 && strcmp(text, "32") != 0)
        return misuse(VERB, "--mode wants 32 or 64, not '%s'", text);
    options->mode = is_64 ? SEGUE_MODE_64 : SEGUE_MODE_32;
    options->mode_given = true;
    return EXIT_DONE;
}

/* Leaves optind at the first argument that is not an option. */
static int read_options(int argument_count, char **arguments, struct options *options)
{
    struct command_line line;
    int found, code = EXIT_DONE;
    command_line_begin(&line, &explain_words, argument_count, arguments);
    while (code == EXIT_DONE && (found = command_line_next(&line)) != COMMAND_LINE_END) {
        switch (found) {
        case EXPLAIN_COUNT:
            code = read_count(optarg, options);
            break;
        case EXPLAIN_HOT:
            options->hot = true;
            break;
        case EXPLAIN_JSON:
            options->json = true;
            break;
        case EXPLAIN_MODE:
            code = read_mode(optarg, options);
            break;
        default:
            return misuse_of_line(&line);
        }
    }
    return code;
}

/* Says which bytes could not be decoded, and where. */
static void complain_of(const struct task *task, size_t offset, size_t size, enum segue_status status)
{
    const struct code *code = &task->code;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        abort();
    for (size_t i = 0; i < size; i++)
        fprintf(out, i ? " %02x" : "%02x", code->bytes[offset + i]);
    fclose(out);
    if (status == SEGUE_TRUNCATED)
        complain(VERB, "the bytes end before the instruction does, at byte %zu (%s); give the rest of it", offset,
                 text);
    else
        complain(VERB, "no instruction in %s-bit mode at byte %zu (%s)", code->mode == SEGUE_MODE_64 ? "64" : "32",
                 offset, text);
    free(text);
}

/* Reports bytes that are not an instruction. Returns how many are to be skipped; 0: it ends here. */
static size_t explain_bad(const struct task *task, size_t offset, enum segue_status status, json_t *list)
{
    size_t left = task->code.size - offset;
    size_t size = left < SEGUE_INSN_BYTES ? left : SEGUE_INSN_BYTES;
    bool goes_on = task->skips && status != SEGUE_TRUNCATED;
    if (goes_on)
        size = 1;
    if (list)
        json_array_append_new(list, instruction_bad_json(&task->code, offset, size, status));
    else if (task->skips)
        instruction_print_bad(stdout, &task->code, offset, size, status);
    if (!task->skips)
        complain_of(task, offset, size, status);
    return goes_on ? size : 0;
}

static void explain_print(const struct task *task, const struct instruction *instruction)
{
    instruction_print(stdout, instruction);
    if (!task->hot)
        return;
    struct hot_site site = hot_site_read(instruction);
    hot_site_print(stdout, &site, INSTRUCTION_INDENT);
}

static json_t *explain_json(const struct task *task, const struct instruction *instruction)
{
    json_t *object = instruction_json(instruction);
    if (task->hot) {
        struct hot_site site = hot_site_read(instruction);
        json_object_set_new(object, "hot", hot_site_json(&site));
    }
    return object;
}

/* Returns EXIT_FAILED if any byte was no instruction. With `list`, nothing is printed. */
static int explain_all(const struct task *task, json_t *list)
{
    struct instruction instruction;
    int code = EXIT_DONE;
    size_t offset = 0;
    for (size_t i = 0; i < task->count && offset < task->end; i++) {
        enum segue_status status = instruction_read(&task->code, offset, &instruction);
        if (status != SEGUE_OK) {
            size_t skipped = explain_bad(task, offset, status, list);
            if (skipped == 0)
                return EXIT_FAILED;
            code = EXIT_FAILED;
            offset += skipped;
            continue;
        }
        if (list)
            json_array_append_new(list, explain_json(task, &instruction));
        else
            explain_print(task, &instruction);
        offset += instruction.plan.insn.length;
    }
    return code;
}

static int explain_task(struct task *task, const struct options *options)
{
    task->hot = options->hot;
    if (!options->json)
        return explain_all(task, NULL);
    json_t *list = json_array();
    int code = explain_all(task, list);
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
    return code;
}

static int explain_hex(char **arguments, size_t argument_count, const struct options *options)
{
    struct hex hex;
    int code;
    if (!hex_read(arguments, argument_count, &hex)) {
        code =
            misuse(VERB,
                   "'%s' is no pair of hex digits from character %zu on; give bytes as in 48 8b 05, or FILE:ADDRESS, "
                   "or FILE:SYMBOL",
                   arguments[hex.bad_argument], hex.bad_character + 1);
    } else if (hex.size == 0) {
        code = misuse(VERB, "there is not one byte to explain; give bytes as in 48 8b 05");
    } else {
        struct task task = {
            .code = {.mode = options->mode, .bytes = hex.bytes, .size = hex.size},
            .end = hex.size,
            .count = options->count,
        };
        code = explain_task(&task, options);
    }
    free(hex.bytes);
    return code;
}

/* Splits NAME+N at its last plus sign. Returns false without a sign, or without a number behind it. */
static bool split_offset(const char *text, char **name, uint64_t *offset)
{
    const char *plus = strrchr(text, '+');
    if (!plus || plus == text || !read_number(plus + 1, offset))
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
    if (isdigit((unsigned char)place[0]) && !strpbrk(place, "+.@") && !read_number(place, &address)) {
        complain(VERB, "'%s' is no address: decimal, or 0x and hexadecimal, of at most 64 bits", place);
        return false;
    }
    if (!read_number(place, &address))
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
static const char *find_colon(const char *argument)
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

/* Bytes in hex from standard input. */
static int explain_input(const struct options *options)
{
    char *text = NULL;
    size_t room = 0;
    /* All of it: a hexadecimal dump has no NUL. */
    ssize_t length = getdelim(&text, &room, 0, stdin);
    int code;
    if (length < 0 && ferror(stdin)) {
        complain(VERB, "cannot read standard input: %s", strerror(errno));
        code = EXIT_FAILED;
    } else if (length > 4 && memcmp(text, "\177ELF", 4) == 0) {
        code = misuse(VERB, "standard input is an ELF file; say what of it, as -:main");
    } else {
        char *arguments[] = {length > 0 ? text : (char[]){""}};
        code = explain_hex(arguments, 1, options);
    }
    free(text);
    return code;
}

/* `argument` is FILE:PLACE, with the colon at `colon`. */
static int explain_file(const char *argument, const char *colon, const struct options *options)
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
            code = explain_task(&task, options);
        }
        elf_code_close(&elf);
    }
    free(path);
    return code;
}

/* Standard input by a name that is not an option: "-:main" is one for getopt. */
static void name_input(int argument_count, char **arguments)
{
    for (int i = 1; i < argument_count && strcmp(arguments[i], "--") != 0; i++)
        if (strncmp(arguments[i], "-:", 2) == 0 && asprintf(&arguments[i], ELF_CODE_INPUT "%s", arguments[i] + 1) < 0)
            abort();
}

static int explain(int argument_count, char **arguments)
{
    struct options options = {.count = SIZE_MAX, .mode = SEGUE_MODE_64};
    name_input(argument_count, arguments);
    int code = read_options(argument_count, arguments, &options);
    if (code != EXIT_DONE)
        return code;
    size_t count = (size_t)(argument_count - optind);
    char **rest = arguments + optind;
    if (count == 0)
        return misuse(VERB, "what is to be explained is missing; give bytes as in 48 8b 05, or FILE:ADDRESS, or "
                            "FILE:SYMBOL");
    if (count == 1 && strcmp(rest[0], "-") == 0)
        return explain_input(&options);
    for (size_t i = 0; i < count; i++) {
        const char *colon = find_colon(rest[i]);
        if (!colon)
            continue;
        if (count > 1)
            return misuse(VERB, "'%s' stands among other arguments; give one place in a file, or bytes, at a time",
                          rest[i]);
        if (colon == rest[i] || colon[1] == 0)
            return misuse(VERB, "'%s' lacks a part; give FILE:ADDRESS or FILE:SYMBOL", rest[i]);
        return explain_file(rest[i], colon, &options);
    }
    return explain_hex(rest, count, &options);
}

const struct verb explain_verb = {&explain_words, explain};
