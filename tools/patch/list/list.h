/* list.h: the sites found in a file, which of them are changed, and the JSON that lists them. */
#ifndef SEGUE_TOOLS_PATCH_LIST_H
#define SEGUE_TOOLS_PATCH_LIST_H

#include <segue/segment.h>
#include <stdio.h>

#include "tools/patch/elf/elf.h"
#include "tools/patch/elf/sites.h"
#include "tools/patch/files/file.h"

/* An object in the file: the file itself, or a member of an archive. */
struct file_object {
    char *member;
    /* NULL without one. */
    char *build_id;
    /* Why nothing of it was changed; a static string or NULL. */
    const char *refusal;
};

/* How many sites of each sort there are. */
struct patch_counts {
    uint64_t accesses, bases, untrusted, loads, system_calls, sets_base, clones;
    /* Untrusted sites that look like an instruction that compilers make. */
    uint64_t likely;
};

struct patch_list {
    struct segue_rewrite rewrite;
    /* Of the original file: before any change, or with the changes taken back. */
    uint64_t size, checksum;
    struct file_object *objects;
    size_t object_count, object_capacity;
    struct site_store sites;
    struct patch_counts counts;
};

enum list_outcome {
    LIST_MADE,
    /* The file is neither an ELF file nor an archive. Nothing was printed. */
    LIST_OTHER,
    /* It holds nothing that can be patched, or reading failed: the reason was printed. */
    LIST_REFUSED,
    LIST_FAILED,
};

/* Finds all sites in the file, whose bytes are read from `file`. After LIST_MADE the caller frees the list, and fills
 * in its checksum. */
enum list_outcome list_make(struct patch_list *list, const char *path, int file, uint64_t size,
                            struct segue_rewrite rewrite);
void list_free(struct patch_list *list);

/* Adds an object; `build_id` may be empty. */
struct file_object *list_add_object(struct patch_list *list, const char *member, const char *build_id);

/* Whether the site is changed. */
bool list_changes(const struct file_site *site);

/* A site that is not changed: what it is, and why it is not changed; a static string. */
const char *list_reason(const struct file_site *site);

/* Whether it is a system call that cannot change a segment base, as far as the code before it shows. */
bool list_is_plain_call(const struct file_site *site);

/* The word for a segment register. */
const char *list_segment_name(enum segue_segment segment);

/* The layout of the JSON. */
enum list_layout {
    /* One line for each member. */
    LIST_LINES,
    /* One line in all. */
    LIST_ONE_LINE,
};

/* False, and errno, when writing failed, or the sites could not be read. */
bool list_write_json(FILE *to, const struct patch_list *list, const char *path, enum list_layout layout);

enum list_detail {
    LIST_COUNTS,
    /* The members of an archive that were refused, and each site that is not changed, except plain system calls. */
    LIST_SITES,
    LIST_SITES_AND_CALLS,
};

void list_print(FILE *to, const struct patch_list *list, const char *path, enum list_detail detail);

#endif
