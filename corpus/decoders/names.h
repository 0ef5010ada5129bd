/* names.h: mnemonics and registers by name, whatever a decoder calls them.
 *
 * Mnemonics are numbered as they are met; names that mean the same have one number. The aliases come from a file
 * (corpus/data/aliases.txt): a line holds the name that counts, then its other names; "other=5" stands for the name
 * that counts with 5 as its last operand. */
#ifndef SEGUE_CORPUS_NAMES_H
#define SEGUE_CORPUS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "corpus/support/error.h"

/* The number of a name that nobody has told. */
#define CORPUS_MNEMONIC_UNKNOWN 0

struct corpus_name {
    char name[24];
    uint8_t length;
    /* The name that counts has this number. */
    uint16_t number;
    /* What the alias implies as the last operand; -1 for nothing. */
    int16_t immediate;
};

/* Reads the alias file and learns all names of Zydis. Must be called once, before anything else here and before there
 * are threads. False, and `error`, if the file is wrong. */
bool corpus_names_read(const char *path, struct corpus_error *error);

/* The entry of a mnemonic, or NULL. Thread-safe. */
const struct corpus_name *corpus_names_find(const char *name, size_t length);

/* What number a Zydis mnemonic has. Thread-safe. */
uint16_t corpus_names_of_zydis(unsigned mnemonic);

/* The name that counts of a number. Thread-safe. */
const char *corpus_names_text(uint16_t number);

/* The Zydis number of a register, by any decoder's name; 0 if there is none. Thread-safe. */
uint16_t corpus_names_register(const char *name, size_t length);

#endif
