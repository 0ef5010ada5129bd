/* shape.h: the folders, links and files of a tree. Folders and links are made in the new tree as they are found, files
 * are collected. */
#ifndef SEGUE_TOOLS_PATCH_SHAPE_H
#define SEGUE_TOOLS_PATCH_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define NO_LEAF SIZE_MAX

/* One file of the tree. */
struct leaf {
    /* Relative to the tree's root. */
    char *path;
    struct stat status;
    /* An earlier leaf that is the same file under another name; NO_LEAF without one. */
    size_t same_as;
    /* It is in the new tree, and its list among the lists. */
    bool is_done, has_list;
};

/* A folder of the tree; the root has the path "". */
struct tree_folder {
    char *path;
    struct stat status;
};

struct tree_shape {
    /* The trees' names in messages, and their roots; the root of a tree that is not written is -1. */
    const char *input, *output, *lists;
    int input_root, output_root, list_root;

    struct leaf *leaves;
    size_t leaf_count, leaf_capacity;
    struct tree_folder *folders;
    size_t folder_count, folder_capacity;
    uint64_t size;
    /* A file or folder could not be read or made; the reason was printed. */
    bool failed;
};

/* Walks through the tree. Leaves are sorted, the largest first. */
void shape_take(struct tree_shape *shape);

/* Gives the folders of the new tree their owners, permissions and times. This comes last: making a file in a folder
 * changes its times. */
void shape_finish_folders(struct tree_shape *shape);

void shape_free(struct tree_shape *shape);

/* "FOLDER/PATH", to be freed. */
char *shape_join(const char *folder, const char *path);

#endif
