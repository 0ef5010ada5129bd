/* state.h: the work on a tree, and what of it other files do: told.c and roots.c. */
#ifndef SEGUE_TOOLS_PATCH_STATE_H
#define SEGUE_TOOLS_PATCH_STATE_H

#include <pthread.h>

#include "shape.h"
#include "work.h"

struct tree {
    const struct patch_options *options;
    struct tree_shape shape;
    /* Where the lists are: written, or read. */
    const char *lists;
    int list_root;
    /* The root of the new tree was not there. */
    bool made_output;

    /* What the workers share. */
    pthread_mutex_t lock;
    size_t next;
    uint64_t size_done;
    size_t patched, copied, refused, compared, failed;
    /* More names of files that are among those. */
    size_t names;
    struct patch_counts counts;
    bool has_bar;
};

/* The bar on standard error; messages that come meanwhile wipe it. */
void tree_draw_bar(const struct tree *tree);
void tree_wipe_bar(const struct tree *tree);

/* Prints what was found in a file, as far as the options ask for it. With the lock held. */
void tree_tell(struct tree *tree, const struct patch_list *list, const char *input);

/* Prints the sum of all files. */
void tree_print_sum(const struct tree *tree);

/* Opens the trees that are read, and makes those that are written. False, having said why, if one cannot be had or they
 * are not apart. */
bool tree_open_roots(struct tree *tree);

#endif
