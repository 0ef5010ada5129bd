/* patch_job.h: what segue patch was told, and its work on one file and on a tree of them. */
#ifndef SEGUE_TOOLS_PATCH_JOB_H
#define SEGUE_TOOLS_PATCH_JOB_H

#include "patch_list.h"

struct patch_options {
    struct segue_rewrite rewrite;
    /* Where the patched file or tree goes; NULL with dry_run. */
    const char *output;
    /* Where the list goes: a file, or for a tree a folder; may be NULL. */
    const char *list;
    bool dry_run;
    bool json;
    bool all_system_calls;
    /* For a tree: how many files at once. */
    unsigned jobs;
};

enum patch_outcome {
    PATCH_DONE,
    /* It is no ELF file and no archive. Nothing was said or written. */
    PATCH_OTHER,
    /* There is code in it that cannot be patched, or it could not be read or written: has said why. */
    PATCH_REFUSED,
    PATCH_FAILED,
};

/* Patches the file `input` to `output` and writes the list to `list_path`; either may be NULL. If it could be read,
 * `list` holds what was found, for the caller to free, with PATCH_DONE only. */
enum patch_outcome patch_file(const struct patch_options *options, const char *input, const char *output,
                              const char *list_path, struct patch_list *list);

/* Patches every file of the tree `input` into a tree of the same shape; what is no ELF file is copied. Returns an
 * enum exit_code. */
int patch_tree(const struct patch_options *options, const char *input);

#endif
