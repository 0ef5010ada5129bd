/* elf.h: finds the code of an ELF file by its unwind tables. */
#ifndef SEGUE_CORPUS_ELF_H
#define SEGUE_CORPUS_ELF_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "corpus/support/error.h"

/* A range of code that begins with an instruction, with its bytes as they are in the file. */
struct corpus_range {
    const uint8_t *bytes;
    size_t size;
    /* The address that the linker gave it. */
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

/* Opens a file and finds its code: the range of each FDE of .eh_frame in executable sections, divided at each function
 * symbol in it, since data may precede that. corpus_elf_close must follow CORPUS_ELF_OK. */
enum corpus_elf_status corpus_elf_open(struct corpus_elf *elf, const char *path, struct corpus_error *error);
void corpus_elf_close(struct corpus_elf *elf);

#endif
