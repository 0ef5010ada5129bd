/* sections.h: finds the sections of an object that matter for patching. */
#ifndef SEGUE_TOOLS_PATCH_SECTIONS_H
#define SEGUE_TOOLS_PATCH_SECTIONS_H

#include "elf.h"

#define SECTIONS_DAMAGED "its section headers are damaged"

/* Fills in the sections of an object whose header has been read; the caller frees them (`sections`, `by_number`).
 * Returns NULL, or why the object cannot be patched. */
const char *sections_find(struct elf_object *object);

#endif
