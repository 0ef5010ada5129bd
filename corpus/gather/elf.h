/* elf.h: the code of an ELF file, where its unwind tables say that there is code. */
#ifndef SEGUE_CORPUS_ELF_H
#define SEGUE_CORPUS_ELF_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "corpus/support/error.h"

/* A stretch of code that begins with an instruction, with the bytes as they stand in the file. */
struct corpus_range {
    const uint8_t *bytes;
    size_t size;
    /* Where it is linked to. */
    uint64_t address;
};

/* An open file and its ranges, by address, without overlaps. */
struct corpus_elf {
    int file;
    Elf *elf;
    struct corpus_range *ranges;
    size_t count;
    size_t capacity;
};

enum corpus_elf_status {
    CORPUS_ELF_OK,
    /* Not an ELF file for x86-64; the error is untouched. */
    CORPUS_ELF_OTHER,
    /* It could not be read; the error says why. */
    CORPUS_ELF_FAILED,
};

/* Opens a file and finds its code: what each FDE of .eh_frame covers in executable sections, begun anew at each
 * function symbol in it, for data may stand before that. corpus_elf_close must follow CORPUS_ELF_OK. */
enum corpus_elf_status corpus_elf_open(struct corpus_elf *elf, const char *path, struct corpus_error *error);
void corpus_elf_close(struct corpus_elf *elf);

#endif
