/* functions.c: sorted lists of functions. */
#include "functions.h"

#include <stdlib.h>

#include "tools/support/array.h"

_Static_assert(offsetof(struct segue_extent, start) == 0, "array_count_below");

void functions_add(struct functions *functions, uint64_t start, uint64_t size)
{
    if (size == 0 || start + size < start)
        return;
    functions->list = array_grow(functions->list, functions->count, &functions->capacity, sizeof *functions->list);
    functions->list[functions->count++] = (struct segue_extent){start, start + size};
}

void functions_free(struct functions *functions)
{
    free(functions->list);
    *functions = (struct functions){0};
}

/* The longer one first. */
static int compare(const void *left, const void *right)
{
    const struct segue_extent *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->end > b->end ? -1 : a->end < b->end;
}

/* Divides the functions: those that begin at or after the last one of `sorted` go there, the rest to `others`. Returns
 * how many went to `sorted`. */
static size_t split(const struct functions *functions, struct segue_extent *sorted, struct segue_extent *others)
{
    size_t in_order = 0;
    for (size_t i = 0; i < functions->count; i++) {
        if (in_order && functions->list[i].start < sorted[in_order - 1].start)
            others[i - in_order] = functions->list[i];
        else
            sorted[in_order++] = functions->list[i];
    }
    return in_order;
}

static bool is_sorted(const struct segue_extent *list, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (list[i].start < list[i - 1].start)
            return false;
    return true;
}

static void merge(struct segue_extent *to, const struct segue_extent *left, size_t left_count,
                  const struct segue_extent *right, size_t right_count)
{
    size_t l = 0, r = 0;
    for (size_t i = 0; i < left_count + right_count; i++) {
        bool take_right = l == left_count || (r < right_count && right[r].start < left[l].start);
        to[i] = take_right ? right[r++] : left[l++];
    }
}

/* Linkers leave two sorted sequences in one table: the functions, and their cold parts, which are elsewhere. */
void functions_sort(struct functions *functions)
{
    size_t count = functions->count;
    if (is_sorted(functions->list, count))
        return;
    struct segue_extent *sorted = malloc(2 * count * sizeof *sorted), *others = sorted + count;
    if (!sorted)
        abort();
    size_t in_order = split(functions, sorted, others), over = count - in_order;
    if (!is_sorted(others, over))
        qsort(others, over, sizeof *others, compare);
    merge(functions->list, sorted, in_order, others, over);
    free(sorted);
}

/* How many begin before `address`. */
static size_t count_before(const struct functions *functions, uint64_t address)
{
    return array_count_below(functions->list, functions->count, sizeof *functions->list, address);
}

/* A function may overlap the start of the next, but not far. */
#define LOOK_BACK 4

static bool overlaps(const struct functions *functions, const struct segue_extent *one)
{
    size_t before = count_before(functions, one->end);
    for (size_t i = before; i > 0 && before - i < LOOK_BACK; i--)
        if (functions->list[i - 1].end > one->start)
            return true;
    return false;
}

void functions_merge(struct functions *functions, const struct functions *more)
{
    struct functions added = {0};
    for (size_t i = 0; i < more->count; i++)
        if (!overlaps(functions, &more->list[i]))
            functions_add(&added, more->list[i].start, more->list[i].end - more->list[i].start);
    if (added.count) {
        size_t count = functions->count + added.count;
        struct segue_extent *list = malloc(count * sizeof *list);
        if (!list)
            abort();
        merge(list, functions->list, functions->count, added.list, added.count);
        free(functions->list);
        *functions = (struct functions){list, count, count};
    }
    functions_free(&added);
}

const struct segue_extent *functions_select(const struct functions *functions, uint64_t start, uint64_t end,
                                            size_t *count)
{
    size_t first = count_before(functions, start);
    *count = count_before(functions, end) - first;
    return *count ? functions->list + first : NULL;
}
