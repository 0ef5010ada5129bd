/* explain.c: segue explain: lists each instruction's memory accesses, and says how it could be stepped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "hot_site.h"
#include "place.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"
#include "tools/support/verb.h"

#define VERB EXPLAIN_VERB

static int read_count(const char *text, struct explain_options *options)
{
    uint64_t count;
    if (!number_read(text, &count) || count == 0)
        return misuse(VERB, "--count wants a number of instructions from 1 on, not '%s'", text);
    options->count = count;
    options->count_given = true;
    return EXIT_DONE;
}

static int read_mode(const char *text, struct explain_options *options)
{
    bool is_64 = strcmp(text, "64") == 0;
    if (!is_64 && strcmp(text, "32") != 0)
        return misuse(VERB, "--mode wants 32 or 64, not '%s'", text);
    options->mode = is_64 ? SEGUE_MODE_64 : SEGUE_MODE_32;
    options->mode_given = true;
    return EXIT_DONE;
}

/* Leaves optind at the first argument that is not an option. */
static int read_options(int argument_count, char **arguments, struct explain_options *options)
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
    char text[3 * SEGUE_INSN_BYTES + 1] = "", *at = text;
    for (size_t i = 0; i < size; i++)
        at += sprintf(at, i ? " %02x" : "%02x", code->bytes[offset + i]);
    if (status == SEGUE_TRUNCATED)
        complain(VERB, "the bytes end before the instruction does, at byte %zu (%s); give the rest of it", offset,
                 text);
    else
        complain(VERB, "no instruction in %s-bit mode at byte %zu (%s)", code->mode == SEGUE_MODE_64 ? "64" : "32",
                 offset, text);
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

static int explain_task(struct task *task, const struct explain_options *options)
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

static int explain_hex(char **arguments, size_t argument_count, const struct explain_options *options)
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

/* All that a file still holds, with a 0 behind it, to be freed; a hexadecimal dump has no other. NULL if it cannot be
 * read. */
static char *read_all(FILE *from, size_t *length)
{
    char *text = NULL;
    size_t room = 0;
    *length = 0;
    do {
        room += 4096;
        text = realloc(text, room);
        if (!text)
            abort();
        *length += fread(text + *length, 1, room - 1 - *length, from);
    } while (*length == room - 1);
    text[*length] = 0;
    if (!ferror(from))
        return text;
    free(text);
    return NULL;
}

/* Bytes in hex from standard input. */
static int explain_input(const struct explain_options *options)
{
    size_t length;
    char *text = read_all(stdin, &length);
    int code;
    if (!text) {
        complain(VERB, "cannot read standard input: %s", strerror(errno));
        code = EXIT_FAILED;
    } else if (length > 4 && memcmp(text, "\177ELF", 4) == 0) {
        code = misuse(VERB, "standard input is an ELF file; say what of it, as -:main");
    } else {
        code = explain_hex(&text, 1, options);
    }
    free(text);
    return code;
}

static int explain(int argument_count, char **arguments)
{
    struct explain_options options = {.count = SIZE_MAX, .mode = SEGUE_MODE_64};
    place_name_input(argument_count, arguments);
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
        const char *colon = place_colon(rest[i]);
        if (!colon)
            continue;
        if (count > 1)
            return misuse(VERB, "'%s' stands among other arguments; give one place in a file, or bytes, at a time",
                          rest[i]);
        if (colon == rest[i] || colon[1] == 0)
            return misuse(VERB, "'%s' lacks a part; give FILE:ADDRESS or FILE:SYMBOL", rest[i]);
        return place_explain(rest[i], colon, &options, explain_task);
    }
    return explain_hex(rest, count, &options);
}

const struct verb explain_verb = {&explain_words, explain};
