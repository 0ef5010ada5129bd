/* patch_tree.c: segue patch on a whole tree: several files at once, with a progress bar where somebody watches. */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "output.h"
#include "patch_job.h"
#include "verb.h"

#define VERB "patch"
#define BAR_WIDTH 40u

/* One file of the tree; `path` is relative to its root. */
struct leaf {
    char *path;
    uint64_t size;
};

struct tree {
    const struct patch_options *options;
    const char *input;
    struct leaf *leaves;
    size_t leaf_count, leaf_capacity;
    uint64_t size;
    bool failed;

    /* What the workers share. */
    pthread_mutex_t lock;
    size_t next;
    uint64_t size_done;
    size_t patched, copied, refused;
    struct patch_counts counts;
    bool has_bar;
};

static char *join(const char *folder, const char *path)
{
    char *joined;
    if (asprintf(&joined, "%s/%s", folder, path) < 0)
        abort();
    return joined;
}

/* --- The shape: folders and links are made first, files are collected. --- */

static bool make_folder(const char *path, mode_t mode)
{
    if (mkdir(path, (mode & 07777) | S_IRWXU) == 0 || errno == EEXIST)
        return true;
    complain(VERB, "cannot make the folder %s: %s", path, strerror(errno));
    return false;
}

static bool copy_link(const char *from, const char *to)
{
    char target[PATH_MAX];
    ssize_t length = readlink(from, target, sizeof target - 1);
    if (length >= 0) {
        target[length] = 0;
        unlink(to);
        if (symlink(target, to) == 0)
            return true;
    }
    complain(VERB, "cannot copy the link %s: %s", from, strerror(errno));
    return false;
}

static void add_leaf(struct tree *tree, const char *path, uint64_t size)
{
    if (tree->leaf_count == tree->leaf_capacity) {
        tree->leaf_capacity = tree->leaf_capacity ? 2 * tree->leaf_capacity : 256;
        tree->leaves = realloc(tree->leaves, tree->leaf_capacity * sizeof *tree->leaves);
        if (!tree->leaves)
            abort();
    }
    tree->leaves[tree->leaf_count++] = (struct leaf){strdup(path), size};
    tree->size += size;
}

static bool take_entry(struct tree *tree, const FTSENT *entry)
{
    const struct patch_options *options = tree->options;
    const char *path = entry->fts_path + strlen(tree->input);
    bool done = true;
    path += strspn(path, "/");
    char *output = options->output ? join(options->output, path) : NULL;
    char *list = options->list ? join(options->list, path) : NULL;
    switch (entry->fts_info) {
    case FTS_D:
        done = (!output || make_folder(output, entry->fts_statp->st_mode)) && (!list || make_folder(list, 0777));
        break;
    case FTS_SL:
    case FTS_SLNONE:
        done = !output || copy_link(entry->fts_path, output);
        break;
    case FTS_F:
        add_leaf(tree, path, (uint64_t)entry->fts_statp->st_size);
        break;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        complain(VERB, "cannot read %s: %s", entry->fts_path, strerror(entry->fts_errno));
        done = false;
        break;
    case FTS_DEFAULT:
        complain(VERB, "%s is left out: it is no file, folder or link", entry->fts_path);
        break;
    default:
        break;
    }
    free(output);
    free(list);
    return done;
}

static bool take_shape(struct tree *tree)
{
    char *roots[] = {(char *)(uintptr_t)tree->input, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    bool done = walk != NULL;
    while (done && (entry = fts_read(walk)) != NULL)
        if (!take_entry(tree, entry))
            tree->failed = true;
    if (walk)
        fts_close(walk);
    else
        complain(VERB, "cannot read %s: %s", tree->input, strerror(errno));
    return done;
}

/* --- The work. --- */

static void draw_bar(const struct tree *tree)
{
    unsigned filled = tree->size ? (unsigned)((double)tree->size_done / (double)tree->size * BAR_WIDTH) : BAR_WIDTH;
    fprintf(stderr, "\r[%.*s%*s] %zu of %zu files", (int)filled, "########################################",
            (int)(BAR_WIDTH - filled), "", tree->patched + tree->copied + tree->refused, tree->leaf_count);
    fflush(stderr);
}

static void add_counts(struct patch_counts *sum, const struct patch_counts *more)
{
    sum->accesses += more->accesses;
    sum->bases += more->bases;
    sum->untrusted += more->untrusted;
    sum->loads += more->loads;
    sum->system_calls += more->system_calls;
    sum->sets_base += more->sets_base;
    sum->clones += more->clones;
}

static bool copy_file(const char *input, const char *output)
{
    struct file_image image;
    if (!output)
        return true;
    if (!file_read(&image, input))
        return false;
    bool done = output_write(VERB, output, image.bytes, image.size, &image.status);
    file_free(&image);
    return done;
}

/* With the lock held. */
static void tell(struct tree *tree, const struct patch_list *list, const char *input)
{
    if (tree->has_bar)
        fputs("\r\033[K", stderr);
    if (tree->options->json) {
        json_t *json = list_json(list, input);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
    } else {
        list_print(stdout, list, input, tree->options->all_system_calls);
    }
}

static void finish_leaf(struct tree *tree, const struct leaf *leaf, enum patch_outcome outcome, bool copied,
                        const struct patch_list *list, const char *input)
{
    pthread_mutex_lock(&tree->lock);
    tree->size_done += leaf->size;
    if (outcome == PATCH_DONE) {
        struct patch_counts counts = list_count(list);
        add_counts(&tree->counts, &counts);
        tree->patched++;
        tell(tree, list, input);
    } else if (outcome == PATCH_OTHER) {
        tree->copied++;
    } else {
        tree->refused++;
    }
    tree->failed |= !copied || outcome == PATCH_FAILED;
    if (tree->has_bar)
        draw_bar(tree);
    pthread_mutex_unlock(&tree->lock);
}

/* What cannot be patched goes into the new tree as it is: that is said, and is no failure. */
static void do_leaf(struct tree *tree, const struct leaf *leaf)
{
    const struct patch_options *options = tree->options;
    struct patch_list list;
    char *input = join(tree->input, leaf->path), *name = NULL;
    char *output = options->output ? join(options->output, leaf->path) : NULL;
    if (options->list && asprintf(&name, "%s/%s.json", options->list, leaf->path) < 0)
        abort();
    enum patch_outcome outcome = patch_file(options, input, output, name, &list);
    bool copied = true;
    if (outcome == PATCH_OTHER || outcome == PATCH_REFUSED)
        copied = copy_file(input, output);
    finish_leaf(tree, leaf, outcome, copied, &list, input);
    if (outcome == PATCH_DONE)
        list_free(&list);
    free(input);
    free(name);
    free(output);
}

static void *work(void *context)
{
    struct tree *tree = context;
    for (;;) {
        pthread_mutex_lock(&tree->lock);
        size_t number = tree->next++;
        pthread_mutex_unlock(&tree->lock);
        if (number >= tree->leaf_count)
            return NULL;
        do_leaf(tree, &tree->leaves[number]);
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

static int by_size(const void *left, const void *right)
{
    uint64_t a = ((const struct leaf *)left)->size, b = ((const struct leaf *)right)->size;
    return a < b ? 1 : a > b ? -1 : 0;
}

/* A tree that is written into itself would never end. */
static bool is_inside(const char *input, const char *output)
{
    char *root = realpath(input, NULL), *target = output ? realpath(output, NULL) : NULL;
    size_t length = root ? strlen(root) : 0;
    bool inside = root && target && strncmp(root, target, length) == 0 && (target[length] == '/' || !target[length]);
    free(root);
    free(target);
    return inside;
}

/* Makes the folder, unless NULL: what is written there is neither in the tree that is read nor in the `other` one. */
static bool has_room(const char *input, const char *folder, const char *other)
{
    if (!folder)
        return true;
    if (!make_folder(folder, 0777))
        return false;
    if (is_inside(input, folder)) {
        complain(VERB, "%s lies in %s; give a folder elsewhere", folder, input);
        return false;
    }
    if (other && output_is_same(folder, other)) {
        complain(VERB, "the lists would be among the patched files, in %s; give another folder", folder);
        return false;
    }
    return true;
}

int patch_tree(const struct patch_options *options, const char *input)
{
    struct tree tree = {
        .options = options, .input = input, .lock = PTHREAD_MUTEX_INITIALIZER, .has_bar = isatty(STDERR_FILENO)};
    if (!has_room(input, options->output, NULL) || !has_room(input, options->list, options->output))
        return EXIT_FAILED;
    if (!take_shape(&tree))
        return EXIT_FAILED;
    /* The big ones first, so that none is left to one worker at the end. */
    qsort(tree.leaves, tree.leaf_count, sizeof *tree.leaves, by_size);
    if (tree.has_bar)
        draw_bar(&tree);
    work_in_parallel(&tree);
    if (tree.has_bar)
        fputs("\r\033[K", stderr);
    if (!options->json)
        printf("%zu files patched, %zu copied, %zu left as they are: %" PRIu64 " operands, %" PRIu64
               " instructions for the base; not trusted %" PRIu64 "\n",
               tree.patched, tree.copied, tree.refused, tree.counts.accesses, tree.counts.bases, tree.counts.untrusted);
    for (size_t i = 0; i < tree.leaf_count; i++)
        free(tree.leaves[i].path);
    free(tree.leaves);
    return tree.failed ? EXIT_FAILED : EXIT_DONE;
}
