/* work.h: the options of segue patch, and its work on one file. */
#ifndef SEGUE_TOOLS_PATCH_WORK_H
#define SEGUE_TOOLS_PATCH_WORK_H

#include "tools/patch/list/list.h"
#include "tools/support/output/output.h"

struct patch_options {
    struct segue_rewrite rewrite;
    /* Where the patched file or tree goes; NULL with dry_run. */
    const char *output;
    /* Where the list is written: a file, or for a tree a folder; may be NULL. */
    const char *list;
    /* A list, or for a tree a folder of lists, with which the file is compared, or whose changes are taken back; at
     * most one of them is set. */
    const char *verify, *revert;
    bool dry_run;
    bool json;
    bool all_system_calls;
    /* For a tree: prints each site that is not changed. */
    bool details;
    /* Sites that look real and were not changed lead to their own exit status. */
    bool strict;
    /* For a tree: how many files at once. */
    unsigned jobs;
};

enum patch_outcome {
    PATCH_DONE,
    /* It is neither an ELF file nor an archive. Nothing was printed. */
    PATCH_OTHER,
    /* It has code that cannot be patched. The reason was printed. */
    PATCH_REFUSED,
    /* It could not be read or written. The reason was printed. */
    PATCH_FAILED,
};

/* A place for a result or an input: `path`, whose links are followed; or, if `folder` is not -1, `name` in that folder,
 * where no link is followed and `path` is only its name in messages. A NULL path means no place. */
struct patch_place {
    const char *path;
    int folder;
    const char *name;
};

#define PATCH_NOWHERE ((struct patch_place){.folder = -1})

bool patch_place_begin(const struct patch_place *place, struct output *output);

/* How a file is treated that is not patched. */
enum patch_rest {
    PATCH_LEAVE_OTHERS,
    PATCH_COPY_OTHERS,
};

/* Work on one file. */
struct patch_work {
    const struct patch_options *options;
    struct patch_file *file;
    struct patch_place output, list;
    enum patch_rest rest;
    /* Called with the list before anything is put in place; may be NULL. If it fails, it prints the reason and returns
     * false, and nothing is put in place. */
    bool (*tell)(const struct patch_work *work, const struct patch_list *list);
};

/* Patches the file to `output` and writes the list, both or neither; the list is in place first. After PATCH_DONE only,
 * `list` holds the sites found, for the caller to free. */
enum patch_outcome patch_file_to(const struct patch_work *work, struct patch_list *list);

struct changes;

/* Writes the file without the changes of the list to `output`; if its path is NULL, only compares the file with the
 * list. */
bool patch_take_back(struct patch_file *file, const struct changes *changes, const struct patch_place *output);

/* Writes a copy of the file, with owner, permissions and times, to `output`; if its path is NULL, does nothing. */
bool patch_copy(struct patch_file *file, const struct patch_place *output);

#endif
