/* print.c: what segue patch prints of a tree: a bar if standard error is a terminal, the findings, and the sum. */
#include <inttypes.h>
#include <stdio.h>

#include "state.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"

#define BAR_WIDTH 40u

void tree_draw_bar(const struct tree *tree)
{
    const struct tree_shape *shape = &tree->shape;
    double part = shape->size ? (double)tree->size_done / (double)shape->size : 1;
    unsigned filled = (unsigned)(part * BAR_WIDTH);
    fprintf(stderr, "\r[%.*s%*s] %zu of %zu file%s", (int)filled, "########################################",
            (int)(BAR_WIDTH - filled), "", tree->patched + tree->copied + tree->refused + tree->compared + tree->failed,
            shape->leaf_count, plural(shape->leaf_count));
    fflush(stderr);
    message_bar_stands(true);
}

void tree_wipe_bar(const struct tree *tree)
{
    if (tree->has_bar)
        fputs("\r\033[K", stderr);
    message_bar_stands(false);
}

void tree_tell(struct tree *tree, const struct patch_list *list, const char *input)
{
    const struct patch_options *options = tree->options;
    enum list_detail detail = options->all_system_calls ? LIST_SITES_AND_CALLS
                              : options->details        ? LIST_SITES
                                                        : LIST_COUNTS;
    if (detail == LIST_COUNTS && !list->counts.likely && !options->json)
        return;
    tree_wipe_bar(tree);
    if (!options->json)
        list_print(stdout, list, input, detail);
    else if (!list_write_json(stdout, list, input, LIST_ONE_LINE))
        tree->failed++;
}

static void print_names(const struct tree *tree)
{
    if (tree->names)
        printf("; %zu more name%s of those files", tree->names, plural(tree->names));
    putchar('\n');
}

void tree_print_sum(const struct tree *tree)
{
    const struct patch_options *options = tree->options;
    const struct patch_counts *counts = &tree->counts;
    if (options->verify || options->revert) {
        printf("%zu file%s %s, %zu without a list, %zu wrong", tree->compared, plural(tree->compared),
               options->revert       ? "taken back"
               : tree->compared == 1 ? "as in its list"
                                     : "as in their lists",
               tree->copied, tree->failed);
        print_names(tree);
        return;
    }
    printf("%zu file%s patched, %zu copied, %zu left as %s: %" PRIu64 " operand%s, %" PRIu64
           " instruction%s for the base; not trusted %" PRIu64,
           tree->patched, plural(tree->patched), tree->copied, tree->refused, tree->refused == 1 ? "it is" : "they are",
           counts->accesses, plural(counts->accesses), counts->bases, plural(counts->bases), counts->untrusted);
    if (counts->likely)
        printf(" (%" PRIu64 " look%s real)", counts->likely, counts->likely == 1 ? "s" : "");
    if (tree->failed)
        printf("; %zu failed", tree->failed);
    print_names(tree);
}
