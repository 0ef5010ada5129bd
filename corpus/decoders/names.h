/* names.h: mnemonics and registers by name, whatever a decoder calls them.
 *
 * A mnemonic gets its number when it is first met; synonyms have one number. The aliases come from a file
 * (corpus/data/aliases.txt): a line holds the canonical name, then its other names; "other=5" stands for the canonical
 * name with 5 as its last operand. */
#ifndef SEGUE_CORPUS_NAMES_H
#define SEGUE_CORPUS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "corpus/support/error.h"

/* The number of an unknown name. */
#define CORPUS_MNEMONIC_UNKNOWN 0

struct corpus_name {
    char name[24];
    uint8_t length;
    /* All names of one mnemonic have this number. */
    uint16_t number;
    /* What the alias implies as the last operand; -1 for nothing. */
    int16_t immediate;
};

/* Reads the alias file and learns all names of Zydis. Must be called once, before anything else here and before there
 * are threads. False, and `error`, if the file is wrong. */
bool corpus_names_read(const char *path, struct corpus_error *error);

/* The entry of a mnemonic, or NULL. Thread-safe. */
const struct corpus_name *corpus_names_find(const char *name, size_t length);

/* The number of a Zydis mnemonic. Thread-safe. */
uint16_t corpus_names_of_zydis(unsigned mnemonic);

/* The canonical name of a number. Thread-safe. */
const char *corpus_names_text(uint16_t number);

/* The Zydis number of a register, by any decoder's name for it; 0 if the name is unknown. Thread-safe. */
uint16_t corpus_names_register(const char *name, size_t length);

#endif
