/* elf.h: the code in an ELF file or an archive of them, and where its functions are. A file is read piece by
 * piece; of its code one section is in memory at a time. */
#ifndef SEGUE_TOOLS_PATCH_ELF_H
#define SEGUE_TOOLS_PATCH_ELF_H

#include <elf.h>
#include <segue/segment.h>

/* What is read: an open file, or bytes in memory if `memory` is not NULL. */
struct elf_source {
    int file;
    const uint8_t *memory;
    uint64_t size;
    /* An error number once reading has failed; EIO where the file became shorter. */
    int error;
};

enum elf_section_kind {
    ELF_CODE,
    /* .eh_frame */
    ELF_UNWIND,
    /* .gopclntab */
    ELF_GO,
    /* Data of a Go program that may hold that table: some linkers put it together with other data. */
    ELF_GO_DATA,
    ELF_SYMBOLS,
    ELF_RELOCATIONS,
};

/* A section that is read; others are passed over. */
struct elf_section {
    /* In the object. */
    uint64_t offset, size;
    /* Where it stands when it is loaded; in a relocatable object, where each begins at 0, a place of its own. */
    uint64_t base;
    /* As its header has it. */
    uint64_t address;
    uint32_t number, link, info;
    uint8_t kind;
    bool is_loaded;
};

/* What of a file is scanned: all of it, or a member of an archive. */
struct elf_object {
    struct elf_source *source;
    /* The member's name, of any bytes; NULL for a file of its own. */
    const char *member;
    /* Where in the file its bytes are. */
    uint64_t offset, size;
    /* From the build-id note, in hex; empty where there is none. */
    char build_id[129];
    Elf64_Ehdr header;
    bool is_relocatable;
    /* Go's linker has left its mark. */
    bool is_go;
    /* In the order of their offsets; they do not overlap. */
    struct elf_section *sections;
    size_t section_count;
    /* Which of them stands where, sorted by number. */
    uint32_t *by_number;
};

/* Called for each object. `refusal` is NULL, or why this object holds nothing that can be patched. Returns false to
 * end. */
typedef bool elf_object_visit(void *context, const struct elf_object *object, const char *refusal);

/* Opens each object in the source. Returns false if it is neither an ELF file nor an archive. Reading may have failed
 * (source->error). */
bool elf_objects(struct elf_source *source, elf_object_visit *visit, void *context);

/* The same for one object, whose place and name are set. */
bool elf_visit_object(struct elf_object *object, elf_object_visit *visit, void *context);

/* The members of an archive. */
void elf_visit_members(struct elf_source *source, elf_object_visit *visit, void *context);

/* Code as it is scanned. */
struct elf_code_section {
    struct segue_segment_code code;
    /* Where in the file its first byte stands. */
    uint64_t file_offset;
    /* Of its first byte, as its header has it: in a relocatable object not what `code` says. */
    uint64_t address;
};

typedef enum segue_status elf_code_visit(void *context, const struct elf_code_section *section);

/* Visits every section with code, in the order of their offsets. Returns what `visit` did, or SEGUE_INVALID when
 * reading failed. */
enum segue_status elf_object_code(const struct elf_object *object, elf_code_visit *visit, void *context);

/* --- For those that read parts of it. --- */

/* Reads bytes of the object. False where it ends before, or when reading failed. */
bool elf_read(const struct elf_object *object, uint64_t offset, void *to, size_t size);

/* The bytes of a section; `*owned` is to be freed. NULL when reading failed. */
const uint8_t *elf_section_bytes(const struct elf_object *object, const struct elf_section *section, uint8_t **owned);

/* The section with that number, if it is one that is read; else NULL. */
const struct elf_section *elf_section_numbered(const struct elf_object *object, uint32_t number);

#endif
