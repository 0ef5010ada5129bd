/* go.c: the functions that a Go program's own table lists (.gopclntab): Go's linker writes no .eh_frame. Every entry is
 * compared with the record that it points to; if one does not match, the whole table is ignored.
 *
 * SOURCES: Go's runtime/symtab.go (pcHeader, functab, _func) and debug/gosym/pclntab.go, of Go 1.2, 1.16, 1.18 and
 * 1.20, which changed the layout; cmd/link/internal/ld/pcln.go. */
#include <stdlib.h>
#include <string.h>

#include "functions.h"

#define MAGIC_1_2 0xfffffffbu
#define MAGIC_1_16 0xfffffffau
#define MAGIC_1_18 0xfffffff0u
#define MAGIC_1_20 0xfffffff1u
/* Magic number, two zeros, the least size of an instruction, the size of a pointer. */
#define FIXED_SIZE 8
/* The first of these may be the text that the linker puts before all code. */
#define FIRST_FUNCTIONS 4
#define RELOCATIONS_AT_ONCE 2048
#define TABLE_ALIGNMENT 8
/* How often other data may resemble the beginning of the table. */
#define ATTEMPTS_MOST 64

/* The layouts of the table. */
struct layout {
    uint32_t magic;
    /* Which of the words after the fixed part holds the address that entries count from, and which the offset of the
     * entries; 0 for a layout without such a word. */
    uint8_t text_word, table_word;
    /* An entry has two numbers of that size. */
    uint8_t number_size;
};

static const struct layout layouts[] = {
    {MAGIC_1_2, 0, 0, 8},
    {MAGIC_1_16, 0, 6, 8},
    {MAGIC_1_18, 2, 7, 4},
    {MAGIC_1_20, 2, 7, 4},
};

struct go_table {
    const struct elf_object *object;
    const struct layout *layout;
    const uint8_t *bytes;
    uint64_t size;
    /* The base of addresses. */
    uint64_t text;
    /* Where the entries begin; where the offsets of records count from; and how many entries there are, without the
     * last one, which only marks the end. */
    uint64_t entries, records, count;
};

static bool read_number(const struct go_table *table, uint64_t offset, unsigned size, uint64_t *number)
{
    *number = 0;
    if (offset > table->size || size > table->size - offset)
        return false;
    memcpy(number, table->bytes + offset, size);
    return true;
}

static bool read_word(const struct go_table *table, unsigned word, uint64_t *number)
{
    return read_number(table, FIXED_SIZE + 8 * (uint64_t)word, 8, number);
}

/* --- Where the code begins. --- */

/* The linker's text at the start is never executed: a letter d (64h) in it is not a prefix. */
static bool is_build_id(const struct elf_object *object, const struct elf_section *code, uint64_t within)
{
    static const char text[] = "\xff Go build ID: \"";
    char bytes[sizeof text - 1];
    return within <= code->size && sizeof bytes <= code->size - within &&
           elf_read(object, code->offset + within, bytes, sizeof bytes) && memcmp(bytes, text, sizeof bytes) == 0;
}

/* Newer linkers leave the address out: then it is the start of the code section that begins with the linker's text. */
static bool find_text(const struct elf_object *object, uint64_t *text)
{
    for (size_t i = 0; i < object->section_count; i++)
        if (object->sections[i].kind == ELF_CODE && is_build_id(object, &object->sections[i], 0)) {
            *text = object->sections[i].base;
            return true;
        }
    return false;
}

static const struct elf_section *code_at(const struct elf_object *object, uint64_t address)
{
    for (size_t i = 0; i < object->section_count; i++) {
        const struct elf_section *section = &object->sections[i];
        if (section->kind == ELF_CODE && section->is_loaded && address - section->base < section->size)
            return section;
    }
    return NULL;
}

/* --- Reading it. --- */

static bool read_header(struct go_table *table)
{
    uint64_t magic, fixed;
    if (!read_number(table, 0, 4, &magic) || !read_number(table, 4, 4, &fixed) || fixed != 0x08010000)
        return false;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].magic == magic)
            table->layout = &layouts[i];
    if (!table->layout || !read_word(table, 0, &table->count))
        return false;
    table->entries = FIXED_SIZE + 8;
    if (table->layout->table_word) {
        if (!read_word(table, table->layout->table_word, &table->entries))
            return false;
        table->records = table->entries;
    }
    if (table->layout->text_word && !read_word(table, table->layout->text_word, &table->text))
        return false;
    if (table->layout->text_word && table->text == 0 && !find_text(table->object, &table->text))
        return false;
    uint64_t entry_size = 2 * (uint64_t)table->layout->number_size;
    return table->entries <= table->size && table->count < (table->size - table->entries) / entry_size;
}

/* Reads entry `number`: where its function begins, and whether its record agrees. */
static bool read_entry(const struct go_table *table, uint64_t number, uint64_t *start)
{
    unsigned size = table->layout->number_size;
    uint64_t at = table->entries + number * 2 * size, counted, record, again;
    if (!read_number(table, at, size, &counted))
        return false;
    *start = table->text + counted;
    if (number == table->count)
        return true;
    return read_number(table, at + size, size, &record) && record < table->size &&
           read_number(table, table->records + record, size, &again) && again == counted;
}

/* Stores the table's functions in `found`. False if any entry does not match. */
static bool read_functions(const struct go_table *table, struct functions *found)
{
    uint64_t start, end;
    const struct elf_section *code = NULL;
    if (!read_entry(table, 0, &start))
        return false;
    for (uint64_t i = 0; i < table->count; i++, start = end) {
        if (!read_entry(table, i + 1, &end) || end < start)
            return false;
        if (!code || start - code->base >= code->size)
            code = code_at(table->object, start);
        if (!code)
            return false;
        if (i >= FIRST_FUNCTIONS || !is_build_id(table->object, code, start - code->base))
            functions_add(found, start, end - start);
    }
    return true;
}

/* --- Where the linker left addresses to be filled in: programs that are loaded anywhere. --- */

static void fill_in(uint8_t *bytes, const struct elf_section *section, const Elf64_Rela *relocation)
{
    uint64_t within = relocation->r_offset - section->address;
    if (ELF64_R_TYPE(relocation->r_info) == R_X86_64_RELATIVE && within < section->size && section->size - within >= 8)
        memcpy(bytes + within, &relocation->r_addend, 8);
}

static bool fill_in_addresses(const struct elf_object *object, const struct elf_section *section, uint8_t *bytes)
{
    Elf64_Rela *relocations = malloc(RELOCATIONS_AT_ONCE * sizeof *relocations);
    bool done = true;
    if (!relocations)
        abort();
    for (size_t i = 0; done && i < object->section_count; i++) {
        const struct elf_section *from = &object->sections[i];
        size_t left = from->kind == ELF_RELOCATIONS && from->is_loaded ? from->size / sizeof *relocations : 0;
        for (uint64_t offset = from->offset; done && left;) {
            size_t count = left < RELOCATIONS_AT_ONCE ? left : RELOCATIONS_AT_ONCE;
            done = elf_read(object, offset, relocations, count * sizeof *relocations);
            for (size_t j = 0; done && j < count; j++)
                fill_in(bytes, section, &relocations[j]);
            offset += count * sizeof *relocations;
            left -= count;
        }
    }
    free(relocations);
    return done;
}

/* Adds the functions of the table at the beginning of the bytes. False if there is no table, or an entry in it does not
 * match. */
static bool take_table(const struct elf_object *object, const uint8_t *bytes, uint64_t size,
                       struct functions *functions)
{
    struct functions found = {0};
    struct go_table table = {.object = object, .bytes = bytes, .size = size};
    bool is_believed = read_header(&table) && read_functions(&table, &found);
    if (is_believed) {
        functions_sort(&found);
        functions_merge(functions, &found);
    }
    functions_free(&found);
    return is_believed;
}

/* Searches other data for the table: by its first eight bytes, at the table's alignment. */
static void look_for_table(const struct elf_object *object, const uint8_t *bytes, uint64_t size,
                           struct functions *functions)
{
    static const uint8_t fixed[] = {0, 0, 1, 8};
    unsigned attempts = 0;
    for (uint64_t at = 0; at + FIXED_SIZE <= size && attempts < ATTEMPTS_MOST; at += TABLE_ALIGNMENT) {
        if (memcmp(bytes + at + 4, fixed, sizeof fixed) != 0)
            continue;
        attempts++;
        if (take_table(object, bytes + at, size - at, functions))
            return;
    }
}

bool functions_from_go(const struct elf_object *object, const struct elf_section *section, struct functions *functions)
{
    uint8_t *bytes = malloc(section->size);
    if (!bytes)
        abort();
    bool done = elf_read(object, section->offset, bytes, section->size) && fill_in_addresses(object, section, bytes);
    if (done && section->kind == ELF_GO)
        take_table(object, bytes, section->size, functions);
    else if (done)
        look_for_table(object, bytes, section->size, functions);
    free(bytes);
    return done;
}
