/* shape.h: what is in a tree: its folders and links are made anew as they are met, its files are collected.
 */
#ifndef SEGUE_TOOLS_PATCH_SHAPE_H
#define SEGUE_TOOLS_PATCH_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define NO_LEAF SIZE_MAX

/* One file of the tree. */
struct leaf {
    /* From the tree's root on. */
    char *path;
    struct stat status;
    /* The leaf that is the same file under another name and comes before; NO_LEAF if none does. */
    size_t same_as;
    /* It stands in the new tree, and its list among the lists. */
    bool is_done, has_list;
};

/* A folder of the tree; the root has the path "". */
struct tree_folder {
    char *path;
    struct stat status;
};

struct tree_shape {
    /* What messages call the trees, and their roots; those that are not written are -1. */
    const char *input, *output, *lists;
    int input_root, output_root, list_root;

    struct leaf *leaves;
    size_t leaf_count, leaf_capacity;
    struct tree_folder *folders;
    size_t folder_count, folder_capacity;
    uint64_t size;
    /* Something could not be read or made; it was said what. */
    bool failed;
};

/* Walks through the tree. Leaves come sorted: the big ones first. */
void shape_take(struct tree_shape *shape);

/* Gives the folders of the new tree what belongs to them: last of all, for each file that is made in them would change
 * that. */
void shape_finish_folders(struct tree_shape *shape);

void shape_free(struct tree_shape *shape);

/* "FOLDER/PATH", to be freed. */
char *shape_join(const char *folder, const char *path);

#endif
