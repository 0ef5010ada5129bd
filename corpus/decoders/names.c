/* names.c: mnemonics and registers by name, whatever a decoder calls them. */
#include "names.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Open addressing, never more than half full. */
#define PLACES 16384
#define NAMES (PLACES / 2)

struct table {
    struct corpus_name names[NAMES];
    uint16_t count;
    uint16_t places[PLACES];
};

static struct table mnemonics, registers;
/* The entry that holds each number's text. */
static uint16_t entry_of_number[NAMES];
static uint16_t number_count = CORPUS_MNEMONIC_UNKNOWN + 1;
static uint16_t of_zydis[ZYDIS_MNEMONIC_MAX_VALUE + 1];

static size_t hash(const char *name, size_t length)
{
    uint32_t value = 2166136261u;
    for (size_t i = 0; i < length; i++)
        value = (value ^ (uint8_t)name[i]) * 16777619u;
    return (value ^ (value >> 15)) % PLACES;
}

static uint16_t *place_of(struct table *table, const char *name, size_t length)
{
    size_t at = hash(name, length);
    for (; table->places[at]; at = (at + 1) % PLACES) {
        const struct corpus_name *there = &table->names[table->places[at] - 1];
        if (there->length == length && memcmp(there->name, name, length) == 0)
            break;
    }
    return &table->places[at];
}

static const struct corpus_name *find(struct table *table, const char *name, size_t length)
{
    uint16_t place = *place_of(table, name, length);
    return place ? &table->names[place - 1] : NULL;
}

static const struct corpus_name *add(struct table *table, const char *name, size_t length, uint16_t number,
                                     int immediate)
{
    uint16_t *place = place_of(table, name, length);
    if (*place)
        return &table->names[*place - 1];
    if (table->count == NAMES || length >= sizeof table->names[0].name)
        return NULL;
    struct corpus_name *entry = &table->names[table->count++];
    memcpy(entry->name, name, length);
    entry->length = (uint8_t)length;
    entry->number = number;
    entry->immediate = (int16_t)immediate;
    *place = table->count;
    return entry;
}

/* The mnemonic's entry; makes one with a number of its own if it is new. */
static const struct corpus_name *learn(const char *name)
{
    const struct corpus_name *entry = find(&mnemonics, name, strlen(name));
    if (entry)
        return entry;
    entry = add(&mnemonics, name, strlen(name), number_count, -1);
    if (entry)
        entry_of_number[number_count++] = (uint16_t)(entry - mnemonics.names);
    return entry;
}

const struct corpus_name *corpus_names_find(const char *name, size_t length)
{
    return find(&mnemonics, name, length);
}

uint16_t corpus_names_of_zydis(unsigned mnemonic)
{
    return mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE ? of_zydis[mnemonic] : CORPUS_MNEMONIC_UNKNOWN;
}

const char *corpus_names_text(uint16_t number)
{
    return number && number < number_count ? mnemonics.names[entry_of_number[number]].name : "?";
}

uint16_t corpus_names_register(const char *name, size_t length)
{
    const struct corpus_name *entry = find(&registers, name, length);
    return entry ? entry->number : 0;
}

/* One word after the first of a line. NULL if all is well, else what is wrong. */
static const char *add_alias(const struct corpus_name *counts, char *word)
{
    char *equals = strchr(word, '=');
    int immediate = -1;
    if (equals) {
        char *end;
        *equals = 0;
        immediate = (int)strtol(equals + 1, &end, 0);
        if (*end || end == equals + 1 || immediate < 0 || immediate > 255)
            return "what follows '=' is no number from 0 to 255";
    }
    if (find(&mnemonics, word, strlen(word)))
        return "the name stands in the file before";
    return add(&mnemonics, word, strlen(word), counts->number, immediate) ? NULL : "a name is too long";
}

static const char *add_line(char *line)
{
    char *rest = NULL, *word = strtok_r(line, " \t\n", &rest);
    if (!word || word[0] == '#')
        return NULL;
    const struct corpus_name *counts = learn(word);
    if (!counts)
        return "a name is too long";
    if (strcmp(corpus_names_text(counts->number), word) != 0)
        return "the first name is itself an alias";
    while ((word = strtok_r(NULL, " \t\n", &rest))) {
        const char *wrong = add_alias(counts, word);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static void learn_zydis(void)
{
    for (unsigned i = 1; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
        const struct corpus_name *entry = learn(ZydisMnemonicGetString((ZydisMnemonic)i));
        of_zydis[i] = entry ? entry->number : CORPUS_MNEMONIC_UNKNOWN;
    }
    for (unsigned i = 1; i <= ZYDIS_REGISTER_MAX_VALUE; i++) {
        const char *name = ZydisRegisterGetString((ZydisRegister)i);
        add(&registers, name, strlen(name), (uint16_t)i, -1);
    }
    for (unsigned i = 0; i < 8; i++) {
        char name[8];
        int length = snprintf(name, sizeof name, "st(%u)", i);
        add(&registers, name, (size_t)length, (uint16_t)(ZYDIS_REGISTER_ST0 + i), -1);
    }
    add(&registers, "st", 2, ZYDIS_REGISTER_ST0, -1);
}

bool corpus_names_read(const char *path, struct corpus_error *error)
{
    char line[4096];
    size_t number = 0;
    const char *wrong = NULL;
    FILE *file = fopen(path, "r");
    if (!file)
        return corpus_error_system(error, "cannot read the aliases in ", path);
    while (!wrong && fgets(line, sizeof line, file)) {
        number++;
        wrong = strchr(line, '\n') || feof(file) ? add_line(line) : "the line is too long";
    }
    fclose(file);
    if (wrong)
        return corpus_error_at(error, path, number, ": %s", wrong);
    learn_zydis();
    return true;
}
