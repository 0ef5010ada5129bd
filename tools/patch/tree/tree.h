/* tree.h: segue patch on a whole tree. */
#ifndef SEGUE_TOOLS_PATCH_TREE_H
#define SEGUE_TOOLS_PATCH_TREE_H

#include "work.h"

/* Patches every file of the tree `input` into a tree of the same shape, and copies the files that are not ELF files; or
 * compares each with its list, or takes the changes back. Returns an enum exit_code. */
int patch_tree(const struct patch_options *options, const char *input);

#endif
