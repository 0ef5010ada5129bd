/* work.h: the options of segue patch, and its work on one file. */
#ifndef SEGUE_TOOLS_PATCH_WORK_H
#define SEGUE_TOOLS_PATCH_WORK_H

#include "tools/support/output.h"
#include "tools/patch/list/list.h"

struct patch_options {
    struct segue_rewrite rewrite;
    /* Where the patched file or tree goes; NULL with dry_run. */
    const char *output;
    /* Where the list goes: a file, or for a tree a folder; may be NULL. */
    const char *list;
    /* A list, or for a tree a folder of lists, to hold the file against, or to take back; at most one of them. */
    const char *verify, *revert;
    bool dry_run;
    bool json;
    bool all_system_calls;
    /* Of a tree, each site that is not changed. */
    bool details;
    /* That something that looks real was left alone shows in the exit status. */
    bool strict;
    /* For a tree: how many files at once. */
    unsigned jobs;
};

enum patch_outcome {
    PATCH_DONE,
    /* It is neither an ELF file nor an archive. Nothing was said. */
    PATCH_OTHER,
    /* There is code in it that cannot be patched: has said why. */
    PATCH_REFUSED,
    /* It could not be read or written: has said why. */
    PATCH_FAILED,
};

/* Where something is to stand, or stands: at `path`, links included; or, if `folder` is not -1, under `name` in that
 * folder, where no link is followed, and `path` is only what messages call it. A NULL path is nowhere. */
struct patch_place {
    const char *path;
    int folder;
    const char *name;
};

#define PATCH_NOWHERE ((struct patch_place){.folder = -1})

bool patch_place_begin(const struct patch_place *place, struct output *output);

/* What becomes of a file that is not patched. */
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
    /* Called with the list before anything is put in place; may be NULL. False, having said why, and nothing is. */
    bool (*tell)(const struct patch_work *work, const struct patch_list *list);
};

/* Patches the file to `output` and writes the list, both or neither: the list stands first. With PATCH_DONE only,
 * `list` holds what was found, for the caller to free. */
enum patch_outcome patch_file_to(const struct patch_work *work, struct patch_list *list);

struct changes;

/* Takes back what the list of `changes` says was changed, to `output`; if that is nowhere, only holds the file against
 * it. */
bool patch_take_back(struct patch_file *file, const struct changes *changes, const struct patch_place *output);

/* Puts a copy of the file there, with all that belongs to it; if that is nowhere, does nothing. */
bool patch_copy(struct patch_file *file, const struct patch_place *output);

#endif
