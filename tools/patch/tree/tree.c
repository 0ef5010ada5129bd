/* tree.c: segue patch on a whole tree, several files at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folders.h"
#include "shape.h"
#include "state.h"
#include "tools/patch/list/changes.h"
#include "tools/support/message.h"
#include "tools/support/output/output_attributes.h"
#include "tools/support/verb.h"
#include "tree.h"

#define VERB "patch"
#define LIST_SUFFIX ".json"

static void add_counts(struct patch_counts *sum, const struct patch_counts *more)
{
    sum->accesses += more->accesses;
    sum->bases += more->bases;
    sum->untrusted += more->untrusted;
    sum->likely += more->likely;
    sum->loads += more->loads;
    sum->system_calls += more->system_calls;
    sum->sets_base += more->sets_base;
    sum->clones += more->clones;
}

/* How a leaf ended. */
enum leaf_outcome {
    LEAF_PATCHED,
    LEAF_COPIED,
    LEAF_REFUSED,
    LEAF_COMPARED,
    LEAF_FAILED,
};

/* `list` is NULL unless the outcome is LEAF_PATCHED. */
static void finish_leaf(struct tree *tree, struct leaf *leaf, enum leaf_outcome outcome, const struct patch_list *list,
                        const char *input)
{
    size_t *const counts[] = {&tree->patched, &tree->copied, &tree->refused, &tree->compared, &tree->failed};
    pthread_mutex_lock(&tree->lock);
    tree->size_done += (uint64_t)leaf->status.st_size;
    ++*counts[outcome];
    leaf->is_done = outcome != LEAF_FAILED;
    leaf->has_list = outcome == LEAF_PATCHED || outcome == LEAF_COMPARED;
    if (list) {
        add_counts(&tree->counts, &list->counts);
        tree_tell(tree, list, input);
    }
    if (tree->has_bar)
        tree_draw_bar(tree);
    pthread_mutex_unlock(&tree->lock);
}

/* --- One file. --- */

/* The places of a leaf: the file itself, and the results for it. */
struct leaf_places {
    struct patch_file file;
    struct patch_place output, list;
    char *input, *output_path, *list_path, *list_name;
};

static bool open_place(int root, const char *path, const char *called, const char *suffix, struct patch_place *place,
                       char **owned)
{
    const char *name;
    place->folder = folder_open_parent(root, path, &name);
    if (place->folder < 0) {
        complain(VERB, "cannot write %s: %s", called, strerror(errno));
        return false;
    }
    if (asprintf(owned, "%s%s", name, suffix) < 0)
        abort();
    place->name = *owned;
    place->path = called;
    return true;
}

static bool open_leaf(const struct tree *tree, const struct leaf *leaf, struct leaf_places *places)
{
    const struct tree_shape *shape = &tree->shape;
    const char *name;
    *places = (struct leaf_places){.file = {.file = -1}, .output = PATCH_NOWHERE, .list = PATCH_NOWHERE};
    places->input = shape_join(shape->input, leaf->path);
    int folder = folder_open_parent(shape->input_root, leaf->path, &name);
    if (folder < 0) {
        complain(VERB, "cannot read %s: %s", places->input, strerror(errno));
        return false;
    }
    bool done = patch_file_open_at(&places->file, folder, name, places->input);
    close(folder);
    return done;
}

static bool open_places(const struct tree *tree, const struct leaf *leaf, struct leaf_places *places, char **names)
{
    const struct tree_shape *shape = &tree->shape;
    if (shape->output_root >= 0) {
        places->output_path = shape_join(shape->output, leaf->path);
        if (!open_place(shape->output_root, leaf->path, places->output_path, "", &places->output, &names[0]))
            return false;
    }
    if (tree->list_root < 0)
        return true;
    char *path = shape_join(tree->lists, leaf->path);
    if (asprintf(&places->list_path, "%s" LIST_SUFFIX, path) < 0)
        abort();
    free(path);
    return open_place(tree->list_root, leaf->path, places->list_path, LIST_SUFFIX, &places->list, &names[1]);
}

static enum leaf_outcome patch_leaf(struct tree *tree, struct leaf_places *places, struct patch_list *list)
{
    struct patch_work work = {
        .options = tree->options,
        .file = &places->file,
        .output = places->output,
        .list = places->list,
        .rest = PATCH_COPY_OTHERS,
    };
    switch (patch_file_to(&work, list)) {
    case PATCH_DONE:
        return LEAF_PATCHED;
    case PATCH_OTHER:
        return LEAF_COPIED;
    case PATCH_REFUSED:
        return LEAF_REFUSED;
    default:
        return LEAF_FAILED;
    }
}

/* A file without a list was not patched. */
static enum leaf_outcome compare_leaf(struct leaf_places *places)
{
    struct changes changes;
    bool done;
    switch (changes_read(&changes, places->list.folder, places->list.name, O_NOFOLLOW | O_NONBLOCK, places->list_path,
                         CHANGES_ABSENT_IS_FINE)) {
    case CHANGES_READ:
        done = patch_take_back(&places->file, &changes, &places->output);
        changes_free(&changes);
        return done ? LEAF_COMPARED : LEAF_FAILED;
    case CHANGES_ABSENT:
        return patch_copy(&places->file, &places->output) ? LEAF_COPIED : LEAF_FAILED;
    default:
        return LEAF_FAILED;
    }
}

static void do_leaf(struct tree *tree, struct leaf *leaf)
{
    const struct patch_options *options = tree->options;
    struct leaf_places places;
    struct patch_list list;
    char *names[2] = {NULL, NULL};
    enum leaf_outcome outcome = LEAF_FAILED;
    bool compares = options->verify || options->revert;
    if (open_leaf(tree, leaf, &places) && open_places(tree, leaf, &places, names))
        outcome = compares ? compare_leaf(&places) : patch_leaf(tree, &places, &list);
    finish_leaf(tree, leaf, outcome, outcome == LEAF_PATCHED ? &list : NULL, places.input);
    if (outcome == LEAF_PATCHED)
        list_free(&list);
    patch_file_close(&places.file);
    if (places.output.folder >= 0)
        close(places.output.folder);
    if (places.list.folder >= 0)
        close(places.list.folder);
    free(names[0]);
    free(names[1]);
    free(places.input);
    free(places.output_path);
    free(places.list_path);
}

/* --- All of them. --- */

static void *work(void *context)
{
    struct tree *tree = context;
    for (;;) {
        pthread_mutex_lock(&tree->lock);
        while (tree->next < tree->shape.leaf_count && tree->shape.leaves[tree->next].same_as != NO_LEAF)
            tree->next++;
        size_t number = tree->next++;
        pthread_mutex_unlock(&tree->lock);
        if (number >= tree->shape.leaf_count)
            return NULL;
        do_leaf(tree, &tree->shape.leaves[number]);
    }
}

static void work_in_parallel(struct tree *tree)
{
    unsigned started = 0, wanted = tree->options->jobs - 1;
    pthread_t *threads = calloc(wanted + 1, sizeof *threads);
    if (!threads)
        abort();
    while (started < wanted && pthread_create(&threads[started], NULL, work, tree) == 0)
        started++;
    work(tree);
    while (started-- > 0)
        pthread_join(threads[started], NULL);
    free(threads);
}

/* Makes a file's name in a tree another name of the same file. */
static bool add_name(int root, const char *from_path, const char *to_path, const char *suffix)
{
    char *from_whole, *to_whole;
    const char *from_name, *to_name;
    if (asprintf(&from_whole, "%s%s", from_path, suffix) < 0 || asprintf(&to_whole, "%s%s", to_path, suffix) < 0)
        abort();
    int from = folder_open_parent(root, from_whole, &from_name), to = folder_open_parent(root, to_whole, &to_name);
    bool done = from >= 0 && to >= 0 && folder_add_name(from, from_name, to, to_name);
    int error = errno;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    free(from_whole);
    free(to_whole);
    errno = error;
    return done;
}

/* Several names of one file become several names of one file in the new tree. */
static void add_names(struct tree *tree)
{
    const struct tree_shape *shape = &tree->shape;
    bool writes_lists = shape->list_root >= 0;
    for (size_t i = 0; i < shape->leaf_count; i++) {
        struct leaf *leaf = &shape->leaves[i];
        if (leaf->same_as == NO_LEAF)
            continue;
        const struct leaf *first = &shape->leaves[leaf->same_as];
        bool done = first->is_done;
        if (done && shape->output_root >= 0)
            done = add_name(shape->output_root, first->path, leaf->path, "");
        if (done && writes_lists && first->has_list)
            done = add_name(shape->list_root, first->path, leaf->path, LIST_SUFFIX);
        if (!done && first->is_done)
            complain(VERB, "cannot write %s/%s: it is one more name of %s, and %s", shape->input, leaf->path,
                     first->path, strerror(errno));
        tree->failed += !done;
        tree->names += done;
        leaf->is_done = done;
        leaf->has_list = done && first->has_list;
    }
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct leaf *)left)->path, ((const struct leaf *)right)->path);
}

/* Reports each list without a file. */
static void check_lists(struct tree *tree)
{
    struct tree_shape *shape = &tree->shape;
    struct tree_shape lists = {.input = tree->lists, .input_root = tree->list_root, .output_root = -1, .list_root = -1};
    shape_take(&lists);
    if (shape->leaf_count)
        qsort(shape->leaves, shape->leaf_count, sizeof *shape->leaves, by_path);
    for (size_t i = 0; i < lists.leaf_count; i++) {
        size_t length = strlen(lists.leaves[i].path), suffix = strlen(LIST_SUFFIX);
        char *path = lists.leaves[i].path;
        if (length <= suffix || strcmp(path + length - suffix, LIST_SUFFIX) != 0)
            continue;
        path[length - suffix] = 0;
        struct leaf wanted = {.path = path};
        if (shape->leaf_count && bsearch(&wanted, shape->leaves, shape->leaf_count, sizeof *shape->leaves, by_path))
            continue;
        complain(VERB, "%s/%s is not there, and %s/%s" LIST_SUFFIX " is its list", shape->input, path, tree->lists,
                 path);
        tree->failed++;
    }
    tree->failed += lists.failed;
    shape_free(&lists);
}

static void finish_tree(struct tree *tree)
{
    struct tree_shape *shape = &tree->shape;
    struct stat status;
    add_names(tree);
    if (tree->options->verify || tree->options->revert)
        check_lists(tree);
    if (shape->output_root >= 0) {
        shape_finish_folders(shape);
        if (tree->made_output && !(fstat(shape->input_root, &status) == 0 &&
                                   output_copy_attributes(VERB, shape->output, shape->input_root, &status,
                                                          shape->output_root, OUTPUT_BYTES_SAME)))
            shape->failed = true;
        syncfs(shape->output_root);
    }
    tree->failed += shape->failed;
}

int patch_tree(const struct patch_options *options, const char *input)
{
    struct tree tree = {
        .options = options,
        .shape = {.input = input, .output = options->output, .input_root = -1, .output_root = -1, .list_root = -1},
        .list_root = -1,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .has_bar = isatty(STDERR_FILENO),
    };
    if (!tree_open_roots(&tree))
        return EXIT_FAILED;
    shape_take(&tree.shape);
    if (tree.has_bar)
        tree_draw_bar(&tree);
    work_in_parallel(&tree);
    finish_tree(&tree);
    tree_wipe_bar(&tree);
    if (!options->json)
        tree_print_sum(&tree);
    shape_free(&tree.shape);
    if (tree.failed)
        return EXIT_FAILED;
    return options->strict && tree.counts.likely ? EXIT_LEFT_ALONE : EXIT_DONE;
}
