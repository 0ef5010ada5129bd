/* state.h: the work on a tree, shared by tree.c, print.c and roots.c. */
#ifndef SEGUE_TOOLS_PATCH_STATE_H
#define SEGUE_TOOLS_PATCH_STATE_H

#include <pthread.h>

#include "shape.h"
#include "work.h"

struct tree {
    const struct patch_options *options;
    struct tree_shape shape;
    /* Where the lists are written, or read. */
    const char *lists;
    int list_root;
    /* The root of the new tree was made by this run. */
    bool made_output;

    /* What the workers share. */
    pthread_mutex_t lock;
    size_t next;
    uint64_t size_done;
    size_t patched, copied, refused, compared, failed;
    /* Further names of those files. */
    size_t names;
    struct patch_counts counts;
    bool has_bar;
};

/* Draws the bar on standard error; a message in between erases it. */
void tree_draw_bar(const struct tree *tree);
void tree_wipe_bar(const struct tree *tree);

/* Prints the findings in a file, as far as the options ask for them. With the lock held. */
void tree_tell(struct tree *tree, const struct patch_list *list, const char *input);

/* Prints the sum of all files. */
void tree_print_sum(const struct tree *tree);

/* Opens the trees that are read, and makes those that are written. Prints the reason and returns false if one cannot be
 * opened or made, or if one is inside another. */
bool tree_open_roots(struct tree *tree);

#endif
