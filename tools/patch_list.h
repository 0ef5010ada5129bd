/* patch_list.h: what was found in a file, what of it is changed, and the JSON that says so. */
#ifndef SEGUE_TOOLS_PATCH_LIST_H
#define SEGUE_TOOLS_PATCH_LIST_H

#include <jansson.h>
#include <segue/patch.h>
#include <stdio.h>

#include "patch_file.h"

/* A site in a file. */
struct file_site {
    struct segue_site site;
    /* Where in the file the instruction begins. */
    uint64_t offset;
    /* Which of the list's objects it is in. */
    size_t object;
};

/* An object in the file: the file itself, or a member of an archive. */
struct file_object {
    char *member;
    char build_id[129];
    /* Why nothing of it was changed; a static string or NULL. */
    const char *refusal;
};

struct patch_list {
    struct segue_rewrite rewrite;
    /* Of the file as it was before any change, or would be if the changes were taken back. */
    uint64_t size, checksum;
    struct file_object *objects;
    size_t object_count, object_capacity;
    struct file_site *sites;
    size_t site_count, site_capacity;
};

/* How many sites of each sort there are. */
struct patch_counts {
    uint64_t accesses, bases, untrusted, loads, system_calls, sets_base, clones;
};

/* Finds all there is in the file. False if it holds nothing that can be patched. It has then said why, unless
 * `*is_other`: it is no ELF file and no archive at all. */
bool list_make(struct patch_list *list, const struct file_image *image, struct segue_rewrite rewrite, bool *is_other);
void list_free(struct patch_list *list);

struct patch_counts list_count(const struct patch_list *list);

/* Whether the site is one that is changed. */
bool list_changes(const struct file_site *site);

/* What a site that is not changed is, and why not: a static string. */
const char *list_reason(const struct file_site *site);

/* The word for a segment register. */
const char *list_segment_name(enum segue_segment segment);

json_t *list_json(const struct patch_list *list, const char *path);
void list_print(FILE *to, const struct patch_list *list, const char *path, bool all_system_calls);

/* Reads a list back; of its sites, only those that were changed, and of those what is needed to take them back. False:
 * has said why. */
bool list_read(struct patch_list *list, const char *path);

/* What the bytes at the sites must be, to begin with. */
enum list_side {
    LIST_OLD,
    LIST_NEW,
};

/* Whether the file is the one that the list is for: same size, same build-ids, and with all sites taken to be old the
 * same checksum; and whether each site holds the byte of `side`. Says what is wrong, at most a few times. */
bool list_check(const struct patch_list *list, const struct file_image *image, enum list_side side);

/* Puts that side's bytes in place. */
void list_apply(const struct patch_list *list, struct file_image *image, enum list_side side);

#endif
