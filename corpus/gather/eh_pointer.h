/* eh_pointer.h: the pointers in .eh_frame, and how the entries of a table write them. Nothing that the table says is
 * trusted. segue patch reads such tables, too (tools/patch/elf/functions/unwind.c).
 *
 * SOURCES: Linux Standard Base Core 5.0, 10.5.1 and 10.6 (pointer encodings, augmentation). */
#ifndef SEGUE_CORPUS_EH_POINTER_H
#define SEGUE_CORPUS_EH_POINTER_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

/* The parts of an encoding (dwarf.h, DW_EH_PE_*). */
#define EH_POINTER_FORMAT 0x0f
#define EH_POINTER_APPLICATION 0x70
#define EH_POINTER_INDIRECT 0x80

/* Reads the pointer at `*at` in the format of `encoding` and moves on. False where it is cut off, or in a format that
 * no compiler uses on x86. */
bool eh_pointer_read(const uint8_t **at, const uint8_t *end, uint8_t encoding, uint64_t *value);

/* The encoding of an entry's addresses, from the augmentation of its common entry. False if that is in no form that
 * compilers make. */
bool eh_pointer_encoding(const Dwarf_CIE *common, uint8_t *encoding);

#endif
