/* elf.h: the code in an ELF file or an archive of ELF files, and the functions in it. A file is read piece by piece; of
 * its code, one section is in memory at a time. */
#ifndef SEGUE_TOOLS_PATCH_ELF_H
#define SEGUE_TOOLS_PATCH_ELF_H

#include <elf.h>
#include <segue/segment.h>

/* The source of the bytes: an open file, or memory if `memory` is not NULL. */
struct elf_source {
    int file;
    const uint8_t *memory;
    uint64_t size;
    /* An error number once reading has failed; EIO if the file was truncated. */
    int error;
};

enum elf_section_kind {
    ELF_CODE,
    /* .eh_frame */
    ELF_UNWIND,
    /* .gopclntab */
    ELF_GO,
    /* Data of a Go program that may contain .gopclntab: some linkers put it together with other data. */
    ELF_GO_DATA,
    ELF_SYMBOLS,
    ELF_RELOCATIONS,
};

/* A section that is read; others are skipped. */
struct elf_section {
    /* In the object. */
    uint64_t offset, size;
    /* Its address when it is loaded; in a relocatable object, where every section begins at 0, an address that no other
     * section has. */
    uint64_t base;
    /* The address in its header. */
    uint64_t address;
    uint32_t number, link, info;
    uint8_t kind;
    bool is_loaded;
};

/* The part of a file that is scanned: all of it, or a member of an archive. */
struct elf_object {
    struct elf_source *source;
    /* The member's name, of any bytes; NULL for a file of its own. */
    const char *member;
    /* Where in the file its bytes are. */
    uint64_t offset, size;
    /* From the build-id note, in hex; empty without one. */
    char build_id[129];
    Elf64_Ehdr header;
    bool is_relocatable;
    /* Go's linker made it. */
    bool is_go;
    /* In the order of their offsets; they do not overlap. */
    struct elf_section *sections;
    size_t section_count;
    /* Indices into `sections`, sorted by section number. */
    uint32_t *by_number;
};

/* Called for each object. `refusal` is NULL, or says why this object cannot be patched. Returns false to end the
 * visit. */
typedef bool elf_object_visit(void *context, const struct elf_object *object, const char *refusal);

/* Opens each object in the source. Returns false if it is neither an ELF file nor an archive. Reading may have failed
 * (source->error). */
bool elf_objects(struct elf_source *source, elf_object_visit *visit, void *context);

/* The same for one object, whose place and name the caller has set. */
bool elf_visit_object(struct elf_object *object, elf_object_visit *visit, void *context);

/* The members of an archive. */
void elf_visit_members(struct elf_source *source, elf_object_visit *visit, void *context);

/* A section of code, as a visitor gets it. */
struct elf_code_section {
    struct segue_segment_code code;
    /* The offset of its first byte in the file. */
    uint64_t file_offset;
    /* The address of its first byte by its header: in a relocatable object it differs from `code`'s. */
    uint64_t address;
};

typedef enum segue_status elf_code_visit(void *context, const struct elf_code_section *section);

/* Visits every section with code, in the order of their offsets. Returns the result of `visit`, or SEGUE_INVALID when
 * reading failed. */
enum segue_status elf_object_code(const struct elf_object *object, elf_code_visit *visit, void *context);

/* --- For those that read parts of it. --- */

/* Reads bytes of the object. False if the object ends before them, or when reading failed. */
bool elf_read(const struct elf_object *object, uint64_t offset, void *to, size_t size);

/* The bytes of a section; `*owned` is to be freed. NULL when reading failed. */
const uint8_t *elf_section_bytes(const struct elf_object *object, const struct elf_section *section, uint8_t **owned);

/* The section with that number if it is one of those that are read, else NULL. */
const struct elf_section *elf_section_numbered(const struct elf_object *object, uint32_t number);

#endif
