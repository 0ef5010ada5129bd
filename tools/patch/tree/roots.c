/* roots.c: the folders that segue patch reads a tree from and writes it to. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folders.h"
#include "state.h"
#include "tools/support/message.h"

#define VERB "patch"

static int open_root(const char *path)
{
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        complain(VERB, "cannot open the folder %s: %s", path, strerror(errno));
    return root;
}

static int make_root(const char *path, bool *made)
{
    *made = mkdir(path, 0777) == 0;
    if (!*made && errno != EEXIST) {
        complain(VERB, "cannot make the folder %s: %s", path, strerror(errno));
        return -1;
    }
    return open_root(path);
}

static bool are_apart(const struct tree *tree)
{
    const struct tree_shape *shape = &tree->shape;
    const struct {
        const char *name;
        int root;
    } written[] = {{shape->output, shape->output_root}, {tree->lists, shape->list_root}};
    for (size_t i = 0; i < 2; i++)
        if (written[i].root >= 0 && folder_is_inside(written[i].root, shape->input_root)) {
            complain(VERB, "%s lies in %s; give a folder elsewhere", written[i].name, shape->input);
            return false;
        }
    if (shape->output_root < 0 || tree->list_root < 0)
        return true;
    if (folder_is_inside(tree->list_root, shape->output_root)) {
        complain(VERB, "the lists would be among the patched files, in %s; give another folder", tree->lists);
        return false;
    }
    if (folder_is_inside(shape->output_root, tree->list_root)) {
        complain(VERB, "the patched files would be among the lists, in %s; give another folder", shape->output);
        return false;
    }
    return true;
}

bool tree_open_roots(struct tree *tree)
{
    const struct patch_options *options = tree->options;
    struct tree_shape *shape = &tree->shape;
    const char *read_lists = options->verify ? options->verify : options->revert;
    bool made_lists = false;
    shape->input_root = open_root(shape->input);
    if (shape->input_root < 0)
        return false;
    if (options->output && (shape->output_root = make_root(options->output, &tree->made_output)) < 0)
        return false;
    if (options->list && (shape->list_root = make_root(options->list, &made_lists)) < 0)
        return false;
    tree->lists = shape->lists = options->list ? options->list : read_lists;
    tree->list_root = read_lists ? open_root(read_lists) : shape->list_root;
    if ((!tree->lists || tree->list_root >= 0) && are_apart(tree))
        return true;
    /* On failure, nothing is left behind. */
    if (made_lists)
        rmdir(options->list);
    if (tree->made_output)
        rmdir(options->output);
    return false;
}
