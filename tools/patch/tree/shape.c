/* shape.c: finds the folders, links and files of a tree. */
#include "shape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folders.h"
#include "tools/support/array.h"
#include "tools/support/message.h"
#include "tools/support/output/output_attributes.h"

#define VERB "patch"

char *shape_join(const char *folder, const char *path)
{
    char *joined;
    if (asprintf(&joined, "%s%s%s", folder, *folder && *path ? "/" : "", path) < 0)
        abort();
    return joined;
}

static void fail(struct tree_shape *shape, const char *what, const char *root, const char *path, int error)
{
    char *name = shape_join(root, path);
    complain(VERB, "cannot %s %s: %s", what, name,
             error == ENOTDIR ? "what stands there is no folder, and none is reached through it" : strerror(error));
    free(name);
    shape->failed = true;
}

/* --- Folders and links. --- */

/* Whether a folder of the new tree is the input's root: files would be written among those that are read. */
static bool is_root(const struct tree_shape *shape, int folder)
{
    struct stat root, status;
    return fstat(shape->input_root, &root) == 0 && fstat(folder, &status) == 0 && root.st_dev == status.st_dev &&
           root.st_ino == status.st_ino;
}

/* A folder from an earlier run has the permissions of the original; it gets them again at the end. */
static void open_for_writing(int folder)
{
    struct stat status;
    if (fstat(folder, &status) == 0 && (status.st_mode & S_IRWXU) != S_IRWXU)
        (void)!fchmod(folder, (status.st_mode & 07777) | S_IRWXU);
}

static bool make_folders(struct tree_shape *shape, const char *path)
{
    int output = -1, list = -1;
    bool done = true;
    if (shape->output_root >= 0) {
        output = folder_make(shape->output_root, path, 0700);
        if (output < 0) {
            fail(shape, "make the folder", shape->output, path, errno);
            done = false;
        } else if (is_root(shape, output)) {
            complain(VERB, "%s lies in %s: what is written would be among what is read; give a folder elsewhere",
                     shape->input, shape->output);
            done = false;
            shape->failed = true;
        } else {
            open_for_writing(output);
        }
    }
    if (done && shape->list_root >= 0 && (list = folder_make(shape->list_root, path, 0777)) < 0) {
        fail(shape, "make the folder", shape->lists, path, errno);
        done = false;
    }
    if (output >= 0)
        close(output);
    if (list >= 0)
        close(list);
    return done;
}

static void take_folder(struct tree_shape *shape, const char *path, const struct stat *status)
{
    if (!make_folders(shape, path))
        return;
    shape->folders = array_grow(shape->folders, shape->folder_count, &shape->folder_capacity, sizeof *shape->folders);
    shape->folders[shape->folder_count++] = (struct tree_folder){strdup(path), *status};
}

static void take_link(struct tree_shape *shape, int folder, const char *path, const struct stat *status)
{
    const char *name;
    if (shape->output_root < 0)
        return;
    int to = folder_open_parent(shape->output_root, path, &name);
    if (to < 0 || !folder_copy_link(folder, to, name, status))
        fail(shape, "copy the link", shape->input, path, errno);
    if (to >= 0)
        close(to);
}

/* --- The walk. --- */

static void take_leaf(struct tree_shape *shape, const char *path, const struct stat *status)
{
    shape->leaves = array_grow(shape->leaves, shape->leaf_count, &shape->leaf_capacity, sizeof *shape->leaves);
    shape->leaves[shape->leaf_count++] = (struct leaf){.path = strdup(path), .status = *status, .same_as = NO_LEAF};
    shape->size += (uint64_t)status->st_size;
}

static void take_entry(struct tree_shape *shape, int folder, const char *in, const char *name)
{
    struct stat status;
    char *path = shape_join(in, name);
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        fail(shape, "read", shape->input, path, errno);
    else if (S_ISDIR(status.st_mode))
        take_folder(shape, path, &status);
    else if (S_ISLNK(status.st_mode))
        take_link(shape, folder, path, &status);
    else if (S_ISREG(status.st_mode))
        take_leaf(shape, path, &status);
    else
        complain(VERB, "%s/%s is left out: it is not a file, folder or link", shape->input, path);
    free(path);
}

static void take_entries(struct tree_shape *shape, const char *path)
{
    int folder = folder_open(shape->input_root, path);
    DIR *entries = folder >= 0 ? fdopendir(folder) : NULL;
    const struct dirent *entry;
    if (!entries) {
        fail(shape, "read", shape->input, path, errno);
        if (folder >= 0)
            close(folder);
        return;
    }
    while (errno = 0, (entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            take_entry(shape, folder, path, entry->d_name);
    if (errno)
        fail(shape, "read", shape->input, path, errno);
    closedir(entries);
}

/* --- What is the same. --- */

static int by_size(const void *left, const void *right)
{
    const struct leaf *a = left, *b = right;
    if (a->status.st_size != b->status.st_size)
        return a->status.st_size < b->status.st_size ? 1 : -1;
    return strcmp(a->path, b->path);
}

static int by_file(const void *left, const void *right, void *leaves)
{
    size_t i = *(const size_t *)left, j = *(const size_t *)right;
    const struct stat *a = &((const struct leaf *)leaves)[i].status, *b = &((const struct leaf *)leaves)[j].status;
    if (a->st_dev != b->st_dev)
        return a->st_dev < b->st_dev ? -1 : 1;
    if (a->st_ino != b->st_ino)
        return a->st_ino < b->st_ino ? -1 : 1;
    return i < j ? -1 : i > j;
}

static void find_same(struct tree_shape *shape)
{
    /* If nothing is written, each name is read on its own. */
    if (shape->output_root < 0 && shape->list_root < 0)
        return;
    struct leaf *leaves = shape->leaves;
    size_t *numbers = malloc((shape->leaf_count + 1) * sizeof *numbers), count = 0;
    if (!numbers)
        abort();
    for (size_t i = 0; i < shape->leaf_count; i++)
        if (leaves[i].status.st_nlink > 1)
            numbers[count++] = i;
    qsort_r(numbers, count, sizeof *numbers, by_file, leaves);
    for (size_t i = 1; i < count; i++) {
        const struct leaf *before = &leaves[numbers[i - 1]];
        struct leaf *leaf = &leaves[numbers[i]];
        if (before->status.st_dev == leaf->status.st_dev && before->status.st_ino == leaf->status.st_ino)
            leaf->same_as = before->same_as != NO_LEAF ? before->same_as : numbers[i - 1];
    }
    free(numbers);
}

void shape_take(struct tree_shape *shape)
{
    /* A folder is walked later: meanwhile the list of folders grows. */
    take_entries(shape, "");
    for (size_t i = 0; i < shape->folder_count; i++)
        take_entries(shape, shape->folders[i].path);
    if (shape->leaf_count)
        qsort(shape->leaves, shape->leaf_count, sizeof *shape->leaves, by_size);
    find_same(shape);
}

static bool finish_folder(const struct tree_shape *shape, const struct tree_folder *folder)
{
    int from = folder_open(shape->input_root, folder->path), to = folder_open(shape->output_root, folder->path);
    char *name = shape_join(shape->output, folder->path);
    bool done = from >= 0 && to >= 0;
    if (!done)
        complain(VERB, "cannot write %s: %s", name, strerror(errno));
    else
        done = output_copy_attributes(VERB, name, from, &folder->status, to, OUTPUT_BYTES_SAME);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    free(name);
    return done;
}

void shape_finish_folders(struct tree_shape *shape)
{
    for (size_t i = shape->folder_count; i-- > 0;)
        if (!finish_folder(shape, &shape->folders[i]))
            shape->failed = true;
}

void shape_free(struct tree_shape *shape)
{
    for (size_t i = 0; i < shape->leaf_count; i++)
        free(shape->leaves[i].path);
    for (size_t i = 0; i < shape->folder_count; i++)
        free(shape->folders[i].path);
    free(shape->leaves);
    free(shape->folders);
}
