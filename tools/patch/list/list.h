/* list.h: what was found in a file, what of it is changed, and the JSON that says so. */
#ifndef SEGUE_TOOLS_PATCH_LIST_H
#define SEGUE_TOOLS_PATCH_LIST_H

#include <segue/segment.h>
#include <stdio.h>

#include "tools/patch/elf/elf.h"
#include "tools/patch/files/file.h"
#include "tools/patch/elf/sites.h"

/* An object in the file: the file itself, or a member of an archive. */
struct file_object {
    char *member;
    /* NULL where there is none. */
    char *build_id;
    /* Why nothing of it was changed; a static string or NULL. */
    const char *refusal;
};

/* How many sites of each sort there are. */
struct patch_counts {
    uint64_t accesses, bases, untrusted, loads, system_calls, sets_base, clones;
    /* Of those that are not trusted: that look like what a compiler makes. */
    uint64_t likely;
};

struct patch_list {
    struct segue_rewrite rewrite;
    /* Of the file as it was before any change, or would be if the changes were taken back. */
    uint64_t size, checksum;
    struct file_object *objects;
    size_t object_count, object_capacity;
    struct site_store sites;
    struct patch_counts counts;
};

enum list_outcome {
    LIST_MADE,
    /* The file is neither an ELF file nor an archive. Nothing was said. */
    LIST_OTHER,
    /* It holds nothing that can be patched, or reading failed: has said why. */
    LIST_REFUSED,
    LIST_FAILED,
};

/* Finds all there is in the file, whose bytes are read from `file`. Only LIST_MADE leaves a list to be freed; its
 * checksum is the caller's to fill in. */
enum list_outcome list_make(struct patch_list *list, const char *path, int file, uint64_t size,
                            struct segue_rewrite rewrite);
void list_free(struct patch_list *list);

/* Adds an object; `build_id` may be empty. */
struct file_object *list_add_object(struct patch_list *list, const char *member, const char *build_id);

/* Whether the site is one that is changed. */
bool list_changes(const struct file_site *site);

/* What a site that is not changed is, and why not: a static string. */
const char *list_reason(const struct file_site *site);

/* Whether it is a system call that has nothing to do with segment bases, as far as can be told. */
bool list_is_plain_call(const struct file_site *site);

/* The word for a segment register. */
const char *list_segment_name(enum segue_segment segment);

/* How JSON is laid out. */
enum list_layout {
    /* A member a line. */
    LIST_LINES,
    /* All of it in one line. */
    LIST_ONE_LINE,
};

/* False, and errno, when it could not be written, or the sites not be read. */
bool list_write_json(FILE *to, const struct patch_list *list, const char *path, enum list_layout layout);

enum list_detail {
    LIST_COUNTS,
    /* What of an archive is refused, and each site that is not changed, but for plain system calls. */
    LIST_SITES,
    LIST_SITES_AND_CALLS,
};

void list_print(FILE *to, const struct patch_list *list, const char *path, enum list_detail detail);

#endif
