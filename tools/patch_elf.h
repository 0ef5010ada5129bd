/* patch_elf.h: the code in an ELF file or an archive of them, and the functions that its unwind tables know. */
#ifndef SEGUE_TOOLS_PATCH_ELF_H
#define SEGUE_TOOLS_PATCH_ELF_H

#include <libelf.h>
#include <segue/patch.h>

/* What of a file is scanned: all of it, or a member of an archive. */
struct elf_object {
    Elf *elf;
    /* The member's name; NULL for a file of its own. */
    const char *member;
    /* The object's bytes, and where in the file they begin. */
    const uint8_t *bytes;
    size_t size;
    uint64_t offset;
    /* From the build-id note, in hex; empty where there is none. */
    char build_id[129];
};

/* Called for each object. `refusal` is NULL, or why this object holds nothing that can be patched. Returns false to
 * end. */
typedef bool elf_object_visit(void *context, const struct elf_object *object, const char *refusal);

/* Opens each object in the file's bytes. Returns false if the file is no ELF file and no archive. */
bool elf_objects(const uint8_t *bytes, size_t size, elf_object_visit *visit, void *context);

/* Called for each section with code; `file_offset` is where in the file its first byte stands, `name` its name. */
typedef enum segue_status elf_code_visit(void *context, const struct segue_code *code, uint64_t file_offset,
                                         const char *name);

/* Visits every section with code. Returns what `visit` did. */
enum segue_status elf_object_code(const struct elf_object *object, elf_code_visit *visit, void *context);

#endif
